"""Three tiny models with random weights, as Hugging Face folders, and the tokenizer they share."""

from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

NAMES = ("llama", "tied", "qwen2")
VOCABULARY = 128
PAD, BOS, EOS = 0, 1, 2

COMMON = dict(
    vocab_size=VOCABULARY,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    bos_token_id=BOS,
    eos_token_id=EOS,
    attention_dropout=0.0,
)


def build(name: str) -> torch.nn.Module:
    """The model `name` in float32, with weights drawn from a seed of its own."""
    rope = {"rope_type": "default", "rope_theta": 1000000.0 if name == "qwen2" else 10000.0}
    if name == "qwen2":
        model = Qwen2ForCausalLM(
            Qwen2Config(**COMMON, rms_norm_eps=1e-6, tie_word_embeddings=True, rope_parameters=rope)
        )
    else:
        tied = name == "tied"
        model = LlamaForCausalLM(
            LlamaConfig(**COMMON, rms_norm_eps=1e-5, tie_word_embeddings=tied, rope_parameters=rope)
        )
    generator = torch.Generator().manual_seed(20260 + NAMES.index(name))
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            # Gains around 1 (not 1), so that a forgotten or misplaced gain shows.
            weight.copy_(1 + 0.2 * noise if key.endswith("norm.weight") else 0.15 * noise)
    return model.eval()


def tokenizer() -> PreTrainedTokenizerFast:
    """One word an id: the text of id 17 is `<17>`; nothing is added before or after a text."""
    words = {f"<{i}>": i for i in range(VOCABULARY)}
    backend = Tokenizer(WordLevel(words, unk_token="<0>"))
    backend.pre_tokenizer = Split(Regex(r"<\d+>"), behavior="isolated")
    backend.decoder = Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=f"<{BOS}>",
        eos_token=f"<{EOS}>",
        pad_token=f"<{PAD}>",
        unk_token="<0>",
        padding_side="right",
    )


def write_model(folder: Path, name: str) -> None:
    """Saves model and tokenizer under `folder/name`."""
    target = folder / name
    build(name).save_pretrained(target)
    tokenizer().save_pretrained(target)
    (target / "generation_config.json").unlink(missing_ok=True)
