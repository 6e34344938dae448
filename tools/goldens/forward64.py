"""A Llama-type decoder written out in torch for one sequence, in whatever dtype its weights have.

The models of `transformers` compute the rotary angles, RMSNorm and the attention softmax in float32
even when the weights are float64, so their float64 logits are good to about 1e-6 only. Here every
operation is in the dtype of the weights; `parity.py` checks it against transformers in float32.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file


def load(folder: Path, dtype=torch.float64) -> tuple[dict, dict]:
    """(config, weights) of a model folder; the weights are leaves that collect gradients."""
    config = json.loads((folder / "config.json").read_text())
    weights = {
        name: value.to(dtype).requires_grad_()
        for name, value in sorted(load_file(folder / "model.safetensors").items())
    }
    return config, weights


def head_size(config: dict) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def inverse_frequencies(rope: dict, size: int, dtype=torch.float64) -> torch.Tensor:
    """[size / 2] rotary frequencies; `rope` as in `rope_parameters` of config.json."""
    steps = torch.arange(0, size, 2, dtype=dtype)
    plain = 1.0 / (rope["rope_theta"] ** (steps / size))
    if rope["rope_type"] == "default":
        return plain
    if rope["rope_type"] != "llama3":
        raise ValueError(f"rope type {rope['rope_type']} is not known here")
    # Llama 3: slow frequencies are divided by `factor`, fast ones kept, with a ramp between.
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    turns = rope["original_max_position_embeddings"] * plain / (2 * math.pi)
    ramp = ((turns - low) / (high - low)).clamp(0, 1)
    return plain * (ramp + (1 - ramp) / rope["factor"])


def rms_norm(x: torch.Tensor, gain: torch.Tensor, eps: float) -> torch.Tensor:
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * gain


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of [heads, T, D]; dimension d is paired with d + D / 2."""
    half = x.shape[-1] // 2
    left, right = x[..., :half], x[..., half:]
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)


def linear(x: torch.Tensor, weights: dict, name: str) -> torch.Tensor:
    y = x @ weights[f"{name}.weight"].T
    bias = weights.get(f"{name}.bias")
    return y if bias is None else y + bias


def attention(x: torch.Tensor, weights: dict, name: str, config: dict, cos, sin) -> torch.Tensor:
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size, length = head_size(config), x.shape[0]
    q, k, v = (linear(x, weights, f"{name}.{p}_proj").view(length, -1, size).transpose(0, 1) for p in "qkv")
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    k, v = (t.repeat_interleave(heads // groups, 0) for t in (k, v))
    scores = q @ k.transpose(1, 2) / math.sqrt(size)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    mixed = scores.masked_fill(future, -math.inf).softmax(-1) @ v
    return linear(mixed.transpose(0, 1).reshape(length, heads * size), weights, f"{name}.o_proj")


def logits(weights: dict, config: dict, ids: list[int], rope: dict | None = None) -> torch.Tensor:
    """[T, V] logits of one sequence; row t is the prediction after ids[0..t]."""
    embedding = weights["model.embed_tokens.weight"]
    x, eps = embedding[torch.tensor(ids)], config["rms_norm_eps"]
    frequencies = inverse_frequencies(rope or config["rope_parameters"], head_size(config), x.dtype)
    angles = torch.arange(len(ids), dtype=x.dtype)[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        h = rms_norm(x, weights[f"{name}.input_layernorm.weight"], eps)
        x = x + attention(h, weights, f"{name}.self_attn", config, cos, sin)
        h = rms_norm(x, weights[f"{name}.post_attention_layernorm.weight"], eps)
        gate = torch.nn.functional.silu(linear(h, weights, f"{name}.mlp.gate_proj"))
        x = x + linear(gate * linear(h, weights, f"{name}.mlp.up_proj"), weights, f"{name}.mlp.down_proj")
    x = rms_norm(x, weights["model.norm.weight"], eps)
    return x @ weights.get("lm_head.weight", embedding).T


def answer_logps(weights: dict, config: dict, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """[answer length] log-probability of each answer token after the prompt."""
    rows = logits(weights, config, prompt + answer)[len(prompt) - 1 : -1].log_softmax(-1)
    return rows.gather(1, torch.tensor(answer)[:, None])[:, 0]
