"""Writes small tokenizers of the kinds that models have, and the ids that the Rust library gives.

    pip install tokenizers; python tests/data/parity/make_tokenizers.py; deno fmt tests/data/parity

Each file in tokenizers/ has the normalizer, splitting, added tokens and post-processor of its model
family and a vocabulary of its own, learned from Python's standard library and pieces.json. ids.json has,
for each kind, the number of texts, one hash of the ids a text, and all ids of the first texts. Kinds that
differ from another one in a few keys only are kept as these keys (variants.json).
"""
import json
import sysconfig
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

from texts import HERE, PIECES, fnv, text

TEXTS, SHOWN = 1000, 30
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + "?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])


def corpus():
    """What the vocabularies are learned from."""
    lib = Path(sysconfig.get_paths()["stdlib"])
    names = ["argparse.py", "tempfile.py", "difflib.py", "textwrap.py", "random.py", "statistics.py"]
    lines = [line for name in names for line in (lib / name).read_text("utf-8").splitlines(keepends=True)]
    return lines + ["".join(PIECES)] * 20 + [" ".join(PIECES)] * 20


def special(*contents, **options):
    return [AddedToken(content, special=True, normalized=False, **options) for content in contents]


def plain(*contents, normalized):
    return [AddedToken(content, special=False, normalized=normalized) for content in contents]


def bos_template(token, id):
    return processors.TemplateProcessing(single=f"{token} $A", pair=None, special_tokens=[(token, id)])


def byte_level(size, split, normalizer=None, before=(), after=()):
    """BPE over bytes, as GPT-2 has it; `before` and `after` are added tokens around the vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=list(before),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_tokens(list(after))
    return tokenizer


def sentencepiece(size, before):
    """BPE over characters with byte fallback, as converted SentencePiece models have it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    tokens = [token.content for token in before] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=tokens, limit_alphabet=160,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tree = json.loads(tokenizer.to_str())
    # Training took the bytes for special tokens; they are only words of the vocabulary.
    tree["added_tokens"] = []
    tokenizer = Tokenizer.from_str(json.dumps(tree))
    tokenizer.add_tokens(list(before))
    return tokenizer


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def make_kinds():
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    kinds = {}
    kinds["gpt2"] = byte_level(1300, bytes_only, after=[AddedToken("<|endoftext|>", special=True, normalized=True)])
    llama = byte_level(1300, split_then_bytes(LLAMA3), after=special(
        "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"))
    begin = llama.token_to_id("<|begin_of_text|>")
    llama.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), bos_template("<|begin_of_text|>", begin)])
    llama.model.ignore_merges = True
    kinds["llama3"] = llama
    kinds["qwen"] = byte_level(
        1300, split_then_bytes(QWEN), normalizers.NFC(),
        after=special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
        + plain("<tool_call>", "</tool_call>", normalized=False))
    gemma = sentencepiece(1300, special("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"))
    gemma.add_tokens(plain(*["\n" * n for n in range(2, 6)], *["\u2581" * n for n in range(2, 9)], normalized=False))
    gemma.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    gemma.post_processor = bos_template("<bos>", gemma.token_to_id("<bos>"))
    gemma.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    kinds["gemma"] = gemma
    kinds["pythia"] = byte_level(
        1300, bytes_only, normalizers.NFC(), before=special("<|endoftext|>", "<|padding|>"),
        after=plain(*[" " * n for n in range(24, 1, -1)], normalized=True))
    return kinds


def make_variants(trees):
    """Kinds as keys that differ: {name: {base, set: {dotted key: value}}}."""
    split = lambda pattern: {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    with_regex = {**to_bytes, "use_regex": True}
    sequence = lambda *parts: {"type": "Sequence", "pretokenizers": list(parts)}
    prepend = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
    metaspace = lambda scheme, split: {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}
    end = len(trees["gpt2"]["model"]["vocab"])
    token = lambda id, content, **options: {
        "id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False, "special": True, **options}
    behaviours = {
        f"split_{behaviour}{'_inverted' if invert else ''}": {"base": "gemma", "set": {
            "normalizer": None, "pre_tokenizer": {
                "type": "Split", "pattern": {"Regex": r"\s|[a-e]+"}, "behavior": behaviour, "invert": invert}}}
        for behaviour in ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
        for invert in [False, True]}
    return {
        "smollm": {"base": "gpt2", "set": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, with_regex)}},
        "digit_runs": {"base": "gpt2", "set": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False}, with_regex)}},
        "prefix_space": {"base": "gpt2", "set": {"pre_tokenizer": {**with_regex, "add_prefix_space": True}}},
        "o200k": {"base": "llama3", "set": {"pre_tokenizer": sequence(split(O200K), to_bytes)}},
        "mistral": {"base": "gemma", "set": {"normalizer": prepend, "pre_tokenizer": None}},
        "metaspace_first": {"base": "gemma", "set": {"normalizer": None, "pre_tokenizer": metaspace("first", False)}},
        "metaspace_always": {"base": "gemma", "set": {"normalizer": None, "pre_tokenizer": metaspace("always", True)}},
        "metaspace_never": {"base": "gemma", "set": {"normalizer": None, "pre_tokenizer": metaspace("never", True)}},
        "nfkc": {"base": "qwen", "set": {"normalizer": {"type": "NFKC"}}},
        "nfd": {"base": "qwen", "set": {"normalizer": {"type": "NFD"}}},
        "nfkd_lower": {"base": "qwen", "set": {"normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFKD"}, {"type": "Lowercase"}]}}},
        "strip": {"base": "qwen", "set": {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}}},
        "added": {"base": "gpt2", "set": {"added_tokens": [
            token(end, "<|endoftext|>"), token(end + 1, "<|user|>", rstrip=True), token(end + 2, "<mask>", lstrip=True),
            token(end + 3, "fox", special=False, single_word=True, normalized=True),
            token(end + 4, "<|end|>", lstrip=True, rstrip=True), token(end + 5, "\n\n", special=False)]}},
        "no_fuse": {"base": "gemma", "set": {"model.byte_fallback": False, "model.fuse_unk": False}},
        "fuse": {"base": "gemma", "set": {"model.byte_fallback": False, "pre_tokenizer": metaspace("always", True), "normalizer": None}},
        **behaviours,
    }


def vary(base, changes):
    tree = json.loads(json.dumps(base))
    for key, value in changes.items():
        at = tree
        *path, last = key.split(".")
        for part in path:
            at = at[part]
        at[last] = value
    return tree


def main():
    folder = HERE / "tokenizers"
    folder.mkdir(exist_ok=True)
    write = lambda path, value: path.write_text(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    trees = {name: json.loads(kind.to_str()) for name, kind in make_kinds().items()}
    for name, tree in trees.items():
        write(folder / f"{name}.json", tree)
    variants = make_variants(trees)
    write(HERE / "variants.json", variants)
    everything = {**trees, **{name: vary(trees[v["base"]], v["set"]) for name, v in variants.items()}}
    texts = [text(index) for index in range(TEXTS)]
    lines = []
    for name, tree in everything.items():
        tokenizer = Tokenizer.from_str(json.dumps(tree))
        ids = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
        hashes = "".join(f"{fnv(i):08x}" for i in ids)
        front = tokenizer.encode("").ids
        shown = ids[:SHOWN] if name in trees else []
        lines.append(json.dumps(name) + ": " + json.dumps(
            {"front": front, "hashes": hashes, "shown": shown}, separators=(",", ":")))
    (HERE / "ids.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


main()
