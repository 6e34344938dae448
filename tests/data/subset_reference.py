"""Writes subset_reference.json: what Hugging Face datasets makes of slices of a split.

    pip install datasets==5.2.0 && python tests/data/subset_reference.py

Each entry is [slice, rows of the split, first row, row after the last].
"""

import json
import pathlib

from datasets.arrow_reader import ReadInstruction

SLICES = """train train[:] train[:30%] train[30%:] train[-10%:] train[:-10%] train[10%:20%] train[:1%]
train[:3%] train[:7] train[5:20] train[-5:] train[:-5] train[-20:-5] test[:100%] train[0:0] train[1_000:]
train[25%:75%] train[50%:] train[10:50%] train[:-100%] train[50%:30%] train[:5%](closest)""".split()

cases = []
for rows in [0, 1, 5, 10, 50, 99, 150, 1000, 160800]:
    for text in SLICES:
        split = text.split("[")[0]
        (found,) = ReadInstruction.from_spec(text).to_absolute({split: rows})
        cases.append([text, rows, found.from_, found.to])

target = pathlib.Path(__file__).with_suffix(".json")
target.write_text("[\n" + ",\n".join("  " + json.dumps(case) for case in cases) + "\n]\n")
