"""AdamW, RMSprop and learning-rate schedules alone, in float64."""

import random
from pathlib import Path

import torch
from transformers import get_scheduler

from compact import write_json

STEPS = 100
SCHEDULE_STEPS = 200
START = [0.5, -0.25, 1.0, -2.0, 0.125, 0.75, -0.5, 3.0]
COLUMNS = [
    "ordinary",
    "tiny (times 2^-24)",
    "large (times 2^12)",
    "always zero",
    "zero but for every tenth step",
    "alternating sign",
    "constant",
    "zero for the first half",
]


def gradients() -> list[list[float]]:
    """[step][column], every value exact in float32."""
    rng = random.Random(21)
    rows = []
    for step in range(STEPS):
        a, b, c, d, e = (rng.randrange(-1024, 1025) / 1024 for _ in range(5))
        rows.append([
            a, b * 2**-24, c * 2**12, 0.0, d if step % 10 == 9 else 0.0,
            0.75 if step % 2 else -0.5, 0.25, e if step >= STEPS // 2 else 0.0,
        ])
    return rows


def run(make, rows: list[list[float]], rate: float) -> tuple[list[list[float]], dict]:
    """(parameters after each step, moments at the end)."""
    parameter = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = make([parameter], rate)
    trace = []
    for row in rows:
        parameter.grad = torch.tensor(row, dtype=torch.float64)
        optimizer.step()
        trace.append(parameter.tolist())
    kept = {k: v.tolist() for k, v in optimizer.state[parameter].items() if k != "step"}
    return trace, kept


def adamw(decay: float):
    return lambda p, rate: torch.optim.AdamW(p, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)


def rmsprop(decay: float):
    return lambda p, rate: torch.optim.RMSprop(p, rate, alpha=0.99, eps=1e-8, weight_decay=decay)


def write_optimizers(folder: Path) -> None:
    """`optimizers.json`; weight decay is decoupled in AdamW and added to the gradient in RMSprop."""
    rows, cases = gradients(), []
    for kind, make, rate, decay in (
        ("adamw", adamw, 0.01, 0.0),
        ("adamw", adamw, 0.01, 0.01),
        ("rmsprop", rmsprop, 0.01, 0.0),
        ("rmsprop", rmsprop, 0.01, 0.01),
    ):
        trace, moments = run(make(decay), rows, rate)
        constants = {"beta1": 0.9, "beta2": 0.999} if kind == "adamw" else {"alpha": 0.99}
        cases.append({
            "kind": kind, "learningRate": rate, "eps": 1e-8, **constants, "weightDecay": decay,
            "moments": moments, "parameters": trace,
        })
    write_json(folder / "optimizers.json", {
        "columns": COLUMNS,
        "start": START,
        "gradients": rows,
        "cases": cases,
    })


def write_schedules(folder: Path) -> None:
    """`schedules.json`: the factor on the learning rate used by optimizer step 0, 1, 2, ..."""
    cases = []
    for name, theirs, warmup in (
        ("linear", "linear", 0),
        ("linear", "linear", 20),
        ("cosine", "cosine", 0),
        ("cosine", "cosine", 20),
        ("constant", "constant", 0),
        ("constant", "constant_with_warmup", 20),
    ):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = get_scheduler(theirs, optimizer, warmup, SCHEDULE_STEPS)
        factors = []
        for _ in range(SCHEDULE_STEPS):
            factors.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        cases.append({
            "schedule": name, "transformersName": theirs, "warmupSteps": warmup,
            "totalSteps": SCHEDULE_STEPS, "factors": factors,
        })
    write_json(folder / "schedules.json", {"cases": cases})
