"""Checks a written GGUF file by other programs: `python check_export.py MODEL_FOLDER FILE.gguf`.

Reads every tensor with the gguf package and compares it with the folder's safetensors (the changes of
order that the format asks for undone here by other code than the program's), then loads both in
transformers and compares logits and token ids. Development only."""
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, path = sys.argv[1:3]
reader = gguf.GGUFReader(path)
arch = str(reader.fields["general.architecture"].contents())
heads = reader.fields[f"{arch}.attention.head_count"].contents()
kv = reader.fields.get(f"{arch}.attention.head_count_kv")
kv = kv.contents() if kv else heads
layers = reader.fields[f"{arch}.block_count"].contents()
model_arch = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
names = gguf.get_tensor_name_map(model_arch, layers)

import glob
weights = {}
for file in sorted(glob.glob(f"{folder}/*.safetensors")):
    weights.update(load_file(file))


def expected(name, array):
    """What the format's converter makes of a Hugging Face tensor."""
    if arch in ("llama", "smollm3") and ("q_proj" in name or "k_proj" in name):
        n = heads if "q_proj" in name else kv
        half = array.shape[0] // n // 2
        return array.reshape(n, 2, half, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
    if arch.startswith("gemma") and name.endswith("norm.weight"):
        return array + np.float32(1)
    if arch == "gpt2" and name.endswith(".weight") and any(p in name for p in ("c_attn", "c_proj", "c_fc")):
        return array.T
    if arch == "gptneox" and "query_key_value" in name:
        split = array.reshape(heads, 3, -1, *array.shape[1:])
        return np.concatenate([split[:, i].reshape(-1, *array.shape[1:]) for i in range(3)])
    return array


stored = {t.name: t for t in reader.tensors}
worst = {}
for name, tensor in weights.items():
    stem, end = name.rsplit(".", 1)
    other = names.get_name(stem)
    assert other is not None, name
    found = stored.pop(f"{other}.{end}", None)
    if found is None and name == "lm_head.weight":
        continue
    want = expected(name, tensor.float().numpy())
    got = gguf.quants.dequantize(found.data, found.tensor_type).reshape(want.shape)
    kind = found.tensor_type.name
    if kind == "Q8_0":
        same = gguf.quants.quantize(np.ascontiguousarray(want), found.tensor_type)
        assert (same == found.data).all(), f"{name}: other Q8_0 bytes"
    elif kind == "F16":
        assert (got == want.astype(np.float16).astype(np.float32)).all(), f"{name}: other values"
    else:
        assert (got == want).all(), f"{name}: other values"
    worst[kind] = max(worst.get(kind, 0.0), float(abs(got - want).max()))
print(arch, "tensors:", len(reader.tensors), "extra:", sorted(stored), "largest difference:", worst)

texts = ["Once upon a time, there was a little girl.", " two  spaces\nand\tmore", "Ünïcödé 😀 漢字", "</s> 123"]
try:
    own = AutoTokenizer.from_pretrained(folder)
    theirs = AutoTokenizer.from_pretrained(folder, gguf_file=path)
    for text in texts:
        a, b = own(text)["input_ids"], theirs(text)["input_ids"]
        print("tokens", "equal" if a == b else f"differ: {a} {b}")
except Exception as error:  # transformers reads the tokenizers of some architectures only
    print("tokenizer not read by transformers:", type(error).__name__, str(error)[:80])

model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
try:
    other = AutoModelForCausalLM.from_pretrained("/", gguf_file=path, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
except Exception as error:
    print("model not read by transformers:", type(error).__name__, str(error)[:120])
    sys.exit(0)
ids = torch.tensor([np.random.default_rng(3).integers(3, model.config.vocab_size, 40).tolist()])
with torch.no_grad():
    a, b = model(ids).logits, other(ids).logits
print("logits: largest", float(a.abs().max()), "largest difference", float((a - b).abs().max()))
