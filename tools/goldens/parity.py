"""Logits, token log-probabilities, gradients and greedy tokens of each tiny model, in float64."""

import random
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import forward64
from compact import short, write_json
from tiny_models import BOS, EOS, NAMES, VOCABULARY

# (prompt, chosen, rejected, common start of both answers) lengths, end of text included. The second
# has an answer that is nothing but the end of text, the third is longer than a block of 64.
LENGTHS = ((5, 4, 7, 0), (1, 6, 1, 0), (41, 29, 13, 3), (12, 3, 10, 2))
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}


def triples(seed: int) -> list[dict]:
    """Four preference triples of ids with a seed (d objective / d logp) for each answer token."""
    rng = random.Random(seed)
    made = []
    for prompt_length, chosen_length, rejected_length, shared in LENGTHS:
        prompt = [BOS] + [rng.randrange(3, VOCABULARY) for _ in range(prompt_length - 1)]
        common = [rng.randrange(3, VOCABULARY) for _ in range(shared)]
        answers = {}
        for name, length in (("chosen", chosen_length), ("rejected", rejected_length)):
            own = [rng.randrange(3, VOCABULARY) for _ in range(length - 1 - shared)]
            answers[name] = common + own + [EOS]
        seeds = {name: [rng.randrange(-1024, 1025) / 1024 for _ in ids] for name, ids in answers.items()}
        made.append({"prompt": prompt, **answers, "seeds": seeds})
    return made


def logit_rows(values: torch.Tensor, positions: list[int]) -> list[dict]:
    return [{"position": p, "values": [short(v) for v in values[p].tolist()]} for p in positions]


def greedy(weights: dict, config: dict, prompt: list[int], count: int) -> dict:
    """`count` greedy tokens; `smallestLead` is how far the best logit was ahead of the second."""
    ids, leads = [], []
    with torch.no_grad():
        while len(ids) < count:
            last = forward64.logits(weights, config, prompt + ids)[-1]
            best = last.topk(2)
            leads.append((best.values[0] - best.values[1]).item())
            ids.append(best.indices[0].item())
    return {"prompt": prompt, "ids": ids, "smallestLead": min(leads)}


def write_parity(folder: Path, name: str) -> None:
    """Writes `<name>.json` and `<name>_gradients.safetensors`."""
    config, weights = forward64.load(folder / name)
    model = AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32)
    objective, difference, made = 0.0, 0.0, triples(100 + NAMES.index(name))
    for triple in made:
        triple["logps"], triple["logits"] = {}, {}
        for answer in ("chosen", "rejected"):
            ids, start = triple["prompt"] + triple[answer], len(triple["prompt"]) - 1
            values = forward64.logits(weights, config, ids)
            with torch.no_grad():
                theirs = model(torch.tensor([ids])).logits[0].double()
            difference = max(difference, (theirs - values).abs().max().item())
            logps = forward64.answer_logps(weights, config, triple["prompt"], triple[answer])
            seeds = torch.tensor(triple["seeds"][answer], dtype=torch.float64)
            objective = objective + (seeds * logps).sum()
            triple["logps"][answer] = logps.tolist()
            positions = sorted({0, start, len(ids) - 1}) if answer == "chosen" else [len(ids) - 2]
            triple["logits"][answer] = logit_rows(values.detach(), positions)
    if difference > 2e-5:
        raise RuntimeError(f"{name}: logits are {difference} away from transformers")
    objective.backward()
    gradients = {key: weight.grad.float().contiguous() for key, weight in weights.items()}
    save_file(gradients, folder / f"{name}_gradients.safetensors")
    write_json(folder / f"{name}.json", {
        "model": name,
        "bos": BOS,
        "eos": EOS,
        "distanceFromTransformersFloat32": difference,
        "objective": objective.item(),
        "gradientNorms": {k: w.grad.norm().item() for k, w in weights.items()},
        "triples": made,
        "greedy": [greedy(weights, config, t["prompt"], 12) for t in made[:3]],
    })


def write_rope(folder: Path) -> None:
    """Rotary frequencies, plain and of Llama 3, and logits of `tied` with Llama 3's scaling."""
    cases = []
    for size, rope in (
        (16, {"rope_type": "default", "rope_theta": 10000.0}),
        (64, {**LLAMA3, "original_max_position_embeddings": 8192}),
        (16, {**LLAMA3, "factor": 8.0, "original_max_position_embeddings": 32}),
    ):
        ours = forward64.inverse_frequencies(rope, size)
        if rope["rope_type"] == "llama3":
            config = LlamaConfig(hidden_size=size, num_attention_heads=1, head_dim=size,
                                 max_position_embeddings=131072, rope_parameters=dict(rope))
            theirs = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")[0].double()
            if ((theirs - ours) / ours).abs().max() > 1e-6:
                raise RuntimeError("the frequencies of Llama 3 differ from transformers")
        cases.append({"headSize": size, "ropeParameters": rope, "inverseFrequencies": ours.tolist()})
    config, weights = forward64.load(folder / "tied")
    rng = random.Random(7)
    ids = [BOS] + [rng.randrange(3, VOCABULARY) for _ in range(59)]
    with torch.no_grad():
        values = forward64.logits(weights, config, ids, cases[2]["ropeParameters"])
    write_json(folder / "rope.json", {
        "frequencies": cases,
        "model": "tied",
        "ropeParameters": cases[2]["ropeParameters"],
        "ids": ids,
        "logits": logit_rows(values, [1, 30, 59]),
    })
