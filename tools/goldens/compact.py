"""How tensors and numbers are written into the JSON goldens."""

import json
from pathlib import Path

import torch


def signs(length: int, shift: int) -> torch.Tensor:
    """+1 or -1 for each flat index i: -1 where ((i * 2654435761 mod 2^32) >>> shift) & 1 is 1."""
    product = (torch.arange(length, dtype=torch.int64) * 2654435761) & 0xFFFFFFFF
    return 1.0 - 2.0 * ((product >> shift) & 1).double()


def digest(tensor: torch.Tensor, start: torch.Tensor) -> dict:
    """A tensor in 20 numbers: norm, distance from `start`, two signed sums, the first 16 values."""
    flat, origin = tensor.detach().double().flatten(), start.detach().double().flatten()
    return {
        "shape": list(tensor.shape),
        "l2": flat.norm().item(),
        "changeL2": (flat - origin).norm().item(),
        "signedSums": [(signs(flat.numel(), shift) * flat).sum().item() for shift in (16, 17)],
        "first": flat[:16].tolist(),
    }


def digests(weights: dict, start: dict) -> dict:
    return {name: digest(weights[name], start[name]) for name in sorted(start)}


def short(value: float) -> float:
    """Twelve significant digits: three more than any tolerance on a float32 engine needs."""
    return float(f"{value:.12g}")


def write_json(path: Path, value: dict) -> None:
    """One line for each innermost list, so that a difference can be read."""
    lines = [f"{json.dumps(key)}: {_block(item)}" for key, item in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _block(item) -> str:
    if isinstance(item, list) and item and isinstance(item[0], (dict, list)):
        return "[\n" + ",\n".join(json.dumps(x, allow_nan=False) for x in item) + "\n]"
    if isinstance(item, dict):
        inner = (f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in item.items())
        return "{\n" + ",\n".join(inner) + "\n}"
    return json.dumps(item, allow_nan=False)
