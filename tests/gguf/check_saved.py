"""Compares the logits of a folder that this program wrote with those of transformers:
`python check_saved.py FOLDER`. Development only; runs `deno` for the program's own."""
import json
import pathlib
import subprocess
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM

folder = sys.argv[1]
here = pathlib.Path(__file__).parent
config = json.loads((pathlib.Path(folder) / "config.json").read_text())
ids = np.random.default_rng(5).integers(3, config["vocab_size"], 24).tolist()
command = ["deno", "run", "-A", str(here / "print_logits.ts"), folder, ",".join(map(str, ids))]
text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
own = np.array(json.loads(text))
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
with torch.no_grad():
    theirs = model.eval()(torch.tensor([ids])).logits[0].numpy()
scale = np.maximum(1, abs(theirs))
print(folder, "largest logit", abs(theirs).max(), "largest difference", (abs(own - theirs) / scale).max())
assert (abs(own - theirs) / scale).max() <= 1e-4
