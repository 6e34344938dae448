"""What all training goldens have in common, written into each of them."""

STEPS = 50
BATCH = 4
ACCUMULATION = 2
LEARNING_RATE = 1e-3
WARMUP = 5
MAX_GRAD_NORM = 1.0
BETA = 0.1


def describe(steps: int = STEPS, **more) -> dict:
    """The settings as they stand in the JSON files."""
    return {
        "policy": "llama",
        "pairs": "pairs.json",
        "order": "row (call * batchSize + i) mod rows, call = 0, 1, 2, ... counted over the run",
        "steps": steps,
        "batchSize": BATCH,
        "gradientAccumulation": ACCUMULATION,
        "optimizer": {"kind": "adamw", "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weightDecay": 0},
        "learningRate": LEARNING_RATE,
        "schedule": "linear",
        "warmupSteps": WARMUP,
        "maxGradNorm": MAX_GRAD_NORM,
        **more,
    }
