"""Blocks of every GGUF type with the float32 bits that the gguf package makes of them, and arrays with
their Q8_0 bytes. Development only: `python tests/gguf/make_blocks.py` writes blocks.json beside it."""
import base64
import importlib.metadata
import json
import pathlib

import gguf
import numpy as np

BLOCKS = 5
# Byte offsets of the float16 numbers in a block: random bits there would often be NaN.
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
SCALES = np.array([0.0123, -1.7, 3e-6, 0.0, 811.5], dtype=np.float16)


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def blocks(rng):
    for name in ["F32", "F16", "BF16", *HALVES]:
        kind = gguf.GGMLQuantizationType[name]
        values, width = gguf.GGML_QUANT_SIZES[kind]
        if name in HALVES:
            data = rng.integers(0, 256, (BLOCKS, width), dtype=np.uint8)
            for place, at in enumerate(HALVES[name]):
                halves = np.roll(SCALES, place).view(np.uint8).reshape(BLOCKS, 2)
                data[:, at : at + 2] = halves
        else:
            numbers = (rng.normal(size=40) * 10.0 ** rng.integers(-9, 4, 40)).astype(np.float32)
            data = gguf.quants.quantize(numbers, kind).view(np.uint8).reshape(1, -1)
        result = gguf.quants.dequantize(data, kind).astype(np.float32)
        yield {"type": name, "bytes": text(data), "values": text(result)}


def q8(rng):
    rows = [rng.normal(size=32) * 10.0**e for e in range(-8, 5)]
    rows += [np.zeros(32), np.full(32, -127.0), np.arange(-16, 16) + 0.5, np.arange(32) * 63.5 / 31]
    # Quotients that are halves: with max 127 the scale is 1.
    rows.append(np.concatenate([[127.0], np.arange(-15, 16) + 0.5]))
    data = np.array(rows, dtype=np.float32)
    return {"values": text(data), "bytes": text(gguf.quants.quantize(data, gguf.GGMLQuantizationType.Q8_0))}


rng = np.random.default_rng(7)
golden = {"gguf": importlib.metadata.version("gguf"), "blocks": list(blocks(rng)), "q8_0": q8(rng)}


path = pathlib.Path(__file__).with_name("blocks.json")
path.write_text(json.dumps(golden, indent=1) + "\n")
