"""Writes tokenizer_ids.json: token ids by the Rust library (pip install tokenizers), for tokenizer_test.ts.

Run in the project root: python tests/example/tokenizer_ids.py
"""
import json
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("examples/model/tokenizer.json")
rows = [json.loads(line) for line in open("examples/preferences_heldout.jsonl", encoding="utf-8")]
texts = [row[side] for row in rows[:12] for side in ("chosen", "rejected")] + [
    "", " ", "\n", "\n\n Human", "  \n\nHuman", "don't we'll I'VE 1234's",
    "  two  blanks \n\n\n x\t\ty ", "a\r\nb\u00a0c\u200b", "Ünïcödé 😀 日本語 — “quotes” ½ Ⅷ",
    "<|bos|>hi<|endoftext|>",
]
lines = [json.dumps({"text": text, "ids": tokenizer.encode(text).ids}) for text in texts]
with open("tests/example/tokenizer_ids.json", "w", encoding="utf-8") as file:
    file.write("[\n" + ",\n".join("  " + line for line in lines) + "\n]\n")
