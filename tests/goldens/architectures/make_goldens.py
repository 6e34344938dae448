"""Makes the goldens of tests/model/architectures_long_test.ts, one folder a model beside this file.

    pip install torch transformers safetensors numpy     (the CPU build of torch is enough)
    python3 tests/goldens/architectures/make_goldens.py [NAME ...]

Each folder holds a tiny random model as transformers saves it (bfloat16, so that its values are few bits)
and golden.json: two rows of prompt, chosen and rejected tokens, longer than any window, and what the model
gives for them in float64 with eager attention: the logits of a few positions, the log-probabilities of the
answers, the DPO loss's derivative for each answer, and the gradient of every parameter as its length, a
few signed sums of its values and, where it is small, the values themselves.
"""

import json
import os
import shutil
import sys
from pathlib import Path

for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ[variable] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402  (after the environment)
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM  # noqa: E402

HERE = Path(__file__).resolve().parent
VOCABULARY, BETA, SUMS, WHOLE = 61, 0.02, 8, 64
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
# Heads that together are wider than the hidden states.
WIDE = {**COMMON, "hidden_size": 24, "head_dim": 16}
GPT_NEOX = {
    **COMMON, "num_attention_heads": 2, "intermediate_size": 40, "tie_word_embeddings": False,
}
del GPT_NEOX["num_key_value_heads"]
# Of the four waves one is short, one in between and two are long.
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 48,
}

MODELS = {
    "llama": ("llama", {**COMMON, "rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "llama_linear_rope": ("llama", {
        **COMMON, "attention_bias": True, "mlp_bias": True, "hidden_act": "gelu",
        "rope_parameters": {"rope_type": "linear", "rope_theta": 5000.0, "factor": 3.0},
    }),
    "mistral": ("mistral", {**COMMON, "sliding_window": 7}),
    "qwen2": ("qwen2", {
        **COMMON, "num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 5,
        "max_window_layers": 1,
    }),
    "qwen3": ("qwen3", {**WIDE, "tie_word_embeddings": True}),
    "gemma2": ("gemma2", {
        **WIDE, "query_pre_attn_scalar": 12, "sliding_window": 6, "attn_logit_softcapping": 1.5,
        "final_logit_softcapping": 4.0,
    }),
    "gemma3_text": ("gemma3_text", {
        **WIDE, "num_hidden_layers": 3, "query_pre_attn_scalar": 20, "sliding_window": 6,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "rope_theta": 2000.0, "factor": 4.0},
        },
    }),
    "phi3": ("phi3", {
        **COMMON, "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 9,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.75,
        },
    }),
    "gpt_neox": ("gpt_neox", {
        **GPT_NEOX,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
        },
    }),
    "gpt_neox_serial": ("gpt_neox", {
        **GPT_NEOX, "use_parallel_residual": False, "hidden_act": "gelu_new",
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5,
        },
    }),
    "gpt2": ("gpt2", {
        "vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64,
        "n_inner": 40, "bos_token_id": 1, "eos_token_id": 2,
    }),
    "olmo2": ("olmo2", {**COMMON, "tie_word_embeddings": False}),
    "smollm3": ("smollm3", {
        **COMMON, "num_hidden_layers": 4, "intermediate_size": 16, "no_rope_layers": [1, 0, 1, 1],
        "tie_word_embeddings": True,
    }),
}


def make_model(name: str, seed: int) -> torch.nn.Module:
    """A model whose every value was drawn: no norm is 1, no bias 0."""
    kind, settings = MODELS[name]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings))
    generator = torch.Generator().manual_seed(seed)
    added = kind.startswith("gemma")
    with torch.no_grad():
        for key, value in model.named_parameters():
            draw = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            if value.dim() == 2:
                fan_in = value.shape[0] if kind == "gpt2" and ".h." in key else value.shape[1]
                value.copy_(draw * (0.6 if "emb" in key or ".wte" in key else 1.2 / fan_in**0.5))
            elif key.endswith("bias"):
                value.copy_(0.3 * draw)
            else:
                value.copy_(0.3 * draw + (0 if added else 1))
    return model


def signs(size: int, which: int) -> np.ndarray:
    """+1 or -1 for every index: a bit of a hash of index and `which` (murmur3's last steps)."""
    h = np.arange(size, dtype=np.uint64) * 8 + which + 1
    mask = np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = ((h ^ (h >> np.uint64(shift))) * np.uint64(factor)) & mask
    h ^= h >> np.uint64(16)
    return 1.0 - 2.0 * (h & np.uint64(1)).astype(np.float64)


def compact(gradient: torch.Tensor) -> dict:
    values = gradient.detach().double().numpy().reshape(-1)
    result = {
        "norm": float(np.linalg.norm(values)),
        "sums": [float(values @ signs(values.size, which)) for which in range(SUMS)],
    }
    if values.size <= WHOLE:
        result["values"] = [float(value) for value in values]
    return result


def rounded(value):
    """Numbers to 10 digits: a hundred thousand times finer than what is compared."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def write_golden(name: str, seed: int) -> None:
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    make_model(name, seed).to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager",
    )
    model.eval()
    random = np.random.default_rng(seed)
    rows = [
        {
            part: [int(i) for i in random.integers(3, VOCABULARY, size)]
            for part, size in zip(("prompt", "chosen", "rejected"), sizes)
        }
        for sizes in ((12, 9, 13), (5, 15, 4))
    ]
    loss = torch.zeros((), dtype=torch.float64)
    for row in rows:
        sums = {}
        row["logps"], row["logits"] = {}, {}
        for side in ("chosen", "rejected"):
            ids = torch.tensor([row["prompt"] + row[side]])
            logits = model(input_ids=ids, use_cache=False).logits[0].double()
            start = len(row["prompt"])
            logps = torch.log_softmax(logits[start - 1:-1], dim=-1)
            picked = logps.gather(1, ids[0, start:, None])[:, 0]
            row["logps"][side] = [float(value) for value in picked]
            row["logits"][side] = [
                {"position": at, "values": [float(value) for value in logits[at]]}
                for at in (0, start, ids.shape[1] - 1)
            ]
            sums[side] = picked.sum()
        margin = BETA * (sums["chosen"] - sums["rejected"])
        loss = loss - torch.nn.functional.logsigmoid(margin)
        slope = float(BETA * torch.sigmoid(-margin))
        row["seeds"] = {"chosen": -slope, "rejected": slope}
    loss.backward()
    golden = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "rows": rows,
        "gradients": {
            # The one name that differs from the file's.
            ("embed_out.weight" if name.startswith("gpt_neox") and key == "lm_head.weight" else key):
                compact(value.grad)
            for key, value in model.named_parameters()
        },
    }
    (folder / "golden.json").write_text(json.dumps(rounded(golden)) + "\n")
    size = (folder / "model.safetensors").stat().st_size
    print(name, f"loss {float(loss):.6f}, weights {size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for seed, name in enumerate(MODELS):
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            write_golden(name, 100 + seed)
