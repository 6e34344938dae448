"""Checks an adapter and its merged model against PEFT; by hand, never in CI.

    python check_peft.py BASE ADAPTER MERGED

Loads BASE with ADAPTER through peft, saves and loads it again there, and loads MERGED through
transformers: logits of a text of random ids must agree within 1e-4, and those of the base alone must not.
"""

import sys
import tempfile

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

base_dir, adapter_dir, merged_dir = sys.argv[1:]


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


base = load(base_dir)
ids = torch.randint(
    0, base.config.vocab_size, (2, 48), generator=torch.Generator().manual_seed(1)
)
with torch.no_grad():
    alone = base(ids).logits
    adapted = PeftModel.from_pretrained(base, adapter_dir).eval()
    expected = adapted(ids).logits
    with torch.no_grad(), adapted.disable_adapter():
        off = adapted(ids).logits
    with tempfile.TemporaryDirectory() as folder:
        adapted.save_pretrained(folder)
        again = PeftModel.from_pretrained(load(base_dir), folder).eval()(ids).logits
    merged = load(merged_dir)(ids).logits


def largest(difference):
    return difference.abs().max().item()


print("adapter against base alone", largest(expected - alone))
print("adapter off against base  ", largest(off - alone))
print("saved by peft and loaded  ", largest(again - expected))
print("merged against adapter    ", largest(merged - expected))
assert largest(expected - alone) > 1e-2
assert largest(again - expected) <= 1e-4
assert largest(merged - expected) <= 1e-4
