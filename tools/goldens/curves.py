"""Training curves in float64: plain loops over the formulas of the loss modes.

A *call* is one micro-batch of `BATCH` pairs; an optimizer step is `ACCUMULATION` calls. Each curve
is run in float32 too, and the largest distance between both is stored beside it, as a measure of
what a float32 engine can be expected to reach.
"""

import math
import random
from pathlib import Path

import torch
from torch.nn.functional import logsigmoid
from transformers import get_scheduler

import forward64
import settings
from compact import digests, write_json
from pairs import make_pairs

SFT_STEPS = 20
# With the defaults' alpha beta would hardly move in 90 calls (risk), or swing so far that a float32
# curve drifts from a float64 one (beta_dpo); everything else is the default but for the warm-up.
RISK = {
    "delta": 0.1,
    "lambda": 0.1,
    "beta_warmup": 10,
    "beta_0": 0.1,
    "gamma": 2.0,
    "alpha": 0.01,
    "beta_max": 2.0,
    "beta_min": 1e-3,
}
BETA_DPO = {"m": 0.9, "rho": 0.8, "alpha": 0.1, "min_beta": 1e-3, "eps": 1e-6, "beta_0": 0.1}


def call_rows(rows: list[dict], call: int) -> list[dict]:
    """The rows of micro-batch `call`."""
    return [rows[(call * settings.BATCH + i) % len(rows)] for i in range(settings.BATCH)]


class Reference:
    """Summed log-probabilities of a frozen model, computed once for each row."""

    def __init__(self, folder: Path, name: str, dtype):
        self.config, self.weights = forward64.load(folder / name, dtype)
        self.known = {}

    def sums(self, row: dict) -> tuple[torch.Tensor, torch.Tensor]:
        key = id(row)
        if key not in self.known:
            with torch.no_grad():
                self.known[key] = sums(self.weights, self.config, row)
        return self.known[key]


def sums(weights: dict, config: dict, row: dict) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(
        forward64.answer_logps(weights, config, row["prompt"], row[answer]).sum()
        for answer in ("chosen", "rejected")
    )


def train(folder: Path, dtype, steps: int, loss_of_call) -> tuple[list[dict], list[dict], dict]:
    """(a record of each step, a record of each call, final weights).

    `loss_of_call(call, rows, weights, config)` returns the loss of one micro-batch and its record;
    numbers of the step are the means over its calls.
    """
    config, weights = forward64.load(folder / "llama", dtype)
    rows = make_pairs()
    optimizer = torch.optim.AdamW(
        weights.values(), lr=settings.LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0
    )
    schedule = get_scheduler("linear", optimizer, settings.WARMUP, steps)
    per_step, per_call = [], []
    for step in range(steps):
        metrics = []
        for call in range(step * settings.ACCUMULATION, (step + 1) * settings.ACCUMULATION):
            loss, means, record = loss_of_call(call, call_rows(rows, call), weights, config)
            (loss / settings.ACCUMULATION).backward()
            metrics.append({"loss": loss.item(), **means})
            per_call.append({"call": call, "loss": loss.item(), **record})
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), settings.MAX_GRAD_NORM).item()
        rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        mean = {key: sum(m[key] for m in metrics) / len(metrics) for key in metrics[0]}
        per_step.append({"loss": mean.pop("loss"), "grad_norm": norm, "learning_rate": rate, **mean})
    return per_step, per_call, weights


def pair_values(rows: list[dict], weights: dict, config: dict, reference: Reference):
    """(chosen log-ratio, rejected log-ratio, chosen logp, rejected logp), each [B]."""
    policy = [sums(weights, config, row) for row in rows]
    frozen = [reference.sums(row) for row in rows]
    chosen, rejected = (torch.stack([p[i] for p in policy]) for i in (0, 1))
    ref_chosen, ref_rejected = (torch.stack([f[i] for f in frozen]) for i in (0, 1))
    return chosen - ref_chosen, rejected - ref_rejected, chosen, rejected


def reward_metrics(beta: float, c, r, chosen, rejected) -> dict:
    c, r = (beta * x.detach() for x in (c, r))
    return {
        "rewards/chosen": c.mean().item(),
        "rewards/rejected": r.mean().item(),
        "rewards/margins": (c - r).mean().item(),
        "rewards/accuracies": (c > r).double().mean().item(),
        "logps/chosen": chosen.mean().item(),
        "logps/rejected": rejected.mean().item(),
    }


def run_dpo(folder: Path, reference_name: str, dtype=torch.float64) -> tuple[list[dict], dict]:
    """Static DPO with the sigmoid loss: (records of the steps, final weights)."""
    reference = Reference(folder, reference_name, dtype)

    def loss_of_call(call, rows, weights, config):
        values = pair_values(rows, weights, config, reference)
        loss = -logsigmoid(settings.BETA * (values[0] - values[1])).mean()
        return loss, reward_metrics(settings.BETA, *values), {}

    steps, _, weights = train(folder, dtype, settings.STEPS, loss_of_call)
    return steps, weights


def run_sft(folder: Path, dtype):
    """Negative log-likelihood of the chosen answers: mean over the scored tokens of each call."""

    def loss_of_call(call, rows, weights, config):
        logps = [forward64.answer_logps(weights, config, row["prompt"], row["chosen"]) for row in rows]
        tokens = sum(len(values) for values in logps)
        return -torch.cat(logps).sum() / tokens, {}, {"tokens": tokens}

    return train(folder, dtype, SFT_STEPS, loss_of_call)


def run_risk(folder: Path, dtype):
    """Risk-controlled beta: the pairs of a call use the beta that the call before left behind."""
    reference, o = Reference(folder, "llama", dtype), RISK
    state = {"beta": o["beta_0"], "count": 0, "buffer": [], "tau": None}

    def after(margins: torch.Tensor) -> dict:
        state["count"] += 1
        if state["count"] <= o["beta_warmup"]:
            state["buffer"] += margins.tolist()
            if state["count"] == o["beta_warmup"]:
                buffer = torch.tensor(state["buffer"], dtype=torch.float64)
                state["tau"] = torch.quantile(buffer, 1 - o["delta"]).item()
            return {"warmup": True, "tau": state["tau"], "p_hat": None, "u_k": None, "s_k": None}
        quantile = torch.quantile(margins, 1 - o["delta"]).item()
        state["tau"] = (1 - o["lambda"]) * state["tau"] + o["lambda"] * quantile
        p_hat = (margins >= state["tau"]).double().mean().item()
        u = (p_hat - o["delta"]) / math.sqrt(o["delta"] * (1 - o["delta"]) / len(margins))
        s = math.tanh(o["gamma"] * u)
        beta = state["beta"] * math.exp(o["alpha"] * s)
        state["beta"] = min(max(beta, o["beta_min"]), o["beta_max"])
        nearest = (margins - state["tau"]).abs().min().item()
        decided = {"p_hat": p_hat, "u_k": u, "s_k": s, "nearestToTau": nearest}
        return {"warmup": False, "tau": state["tau"], **decided}

    def loss_of_call(call, rows, weights, config):
        values = pair_values(rows, weights, config, reference)
        margins, beta = values[0] - values[1], state["beta"]
        loss = -logsigmoid(beta * margins).mean()
        record = {"beta_used": beta, "margins": margins.tolist(), **after(margins.detach().double())}
        return loss, reward_metrics(beta, *values), {**record, "beta": state["beta"]}

    return train(folder, dtype, settings.STEPS, loss_of_call)


def uniforms() -> list[list[float]]:
    """[call][i] uniform numbers in (0, 1) for the sampling of beta_dpo, multiples of 2^-20."""
    rng = random.Random(11)
    calls = settings.STEPS * settings.ACCUMULATION
    return [[(rng.randrange(2**20 - 1) + 1) / 2**20 for _ in range(settings.BATCH)] for _ in range(calls)]


def run_beta_dpo(folder: Path, dtype):
    """Beta-DPO: running mean and deviation first, then the filter, then beta from the kept pairs."""
    reference, o = Reference(folder, "llama", dtype), BETA_DPO
    draws, state = uniforms(), {"M0": None, "sigma": None}

    def decide(call: int, h: torch.Tensor) -> dict:
        mean, deviation = h.mean().item(), max(h.std(correction=0).item(), o["eps"])
        if state["M0"] is None:
            state.update(M0=mean, sigma=deviation)
        else:
            state["M0"] = o["m"] * state["M0"] + (1 - o["m"]) * mean
            state["sigma"] = max(o["m"] * state["sigma"] + (1 - o["m"]) * deviation, o["eps"])
        z = (h - state["M0"]) / (state["sigma"] + o["eps"])
        race = -torch.tensor(draws[call], dtype=torch.float64).log()
        keys = (-z * z / 2 - race.log()).tolist()
        keep = max(1, math.floor(len(keys) * o["rho"]))
        order = sorted(range(len(keys)), key=lambda i: (-keys[i], i))
        mask = [1 if i in order[:keep] else 0 for i in range(len(keys))]
        kept_mean = sum(h[i].item() for i in order[:keep]) / keep
        beta = max(o["beta_0"] * (1 + o["alpha"] * (kept_mean - state["M0"])), o["min_beta"])
        lead = keys[order[keep - 1]] - keys[order[keep]]
        return {
            **state, "gap_mean": mean, "gap_std": deviation, "mask": mask, "kept": keep,
            "gap_selected_mean": kept_mean, "beta_used": beta, "keyLead": lead,
        }

    def loss_of_call(call, rows, weights, config):
        values = pair_values(rows, weights, config, reference)
        margins = values[0] - values[1]
        record = decide(call, margins.detach().double())
        mask = torch.tensor(record["mask"], dtype=margins.dtype)
        loss = -(mask * logsigmoid(record["beta_used"] * margins)).sum() / record["kept"]
        record = {"margins": margins.tolist(), "uniforms": draws[call], **record}
        return loss, reward_metrics(record["beta_used"], *values), record

    return train(folder, dtype, settings.STEPS, loss_of_call)


def distances(a: list[dict], b: list[dict]) -> dict:
    """Of each number (or list of numbers) of two curves: [largest difference, largest value]."""
    worst = {}
    for one, other in zip(a, b, strict=True):
        for key, value in one.items():
            left, right = (x if isinstance(x, list) else [x] for x in (value, other[key]))
            if key == "call" or any(isinstance(x, bool) or x is None for x in left):
                continue
            gap, size = worst.get(key, (0.0, 0.0))
            gap = max([gap] + [abs(x - y) for x, y in zip(left, right, strict=True)])
            worst[key] = (gap, max([size] + [abs(x) for x in left]))
    return {key: list(pair) for key, pair in worst.items()}


def write_curve(folder: Path, name: str, run, described: dict) -> None:
    steps, calls, final = run(folder, torch.float64)
    steps32, calls32, final32 = run(folder, torch.float32)
    _, start = forward64.load(folder / "llama")
    write_json(folder / f"{name}.json", {
        "settings": described,
        "madeBy": "torch, float64",
        "distanceOfFloat32": {
            "steps": distances(steps, steps32),
            "calls": distances(calls, calls32),
            "weights": max((final[k] - final32[k].double()).abs().max().item() for k in final),
        },
        "steps": steps,
        "calls": calls,
        "finalWeights": digests(final, start),
    })


def write_sft(folder: Path) -> None:
    write_curve(folder, "sft", run_sft, settings.describe(SFT_STEPS, mode="sft", answer="chosen"))


def write_risk(folder: Path) -> None:
    described = settings.describe(mode="risk", reference="llama", lossType="sigmoid", options=RISK)
    write_curve(folder, "risk", run_risk, described)


def write_beta_dpo(folder: Path) -> None:
    described = settings.describe(mode="beta_dpo", reference="llama", lossType="sigmoid", options=BETA_DPO)
    write_curve(folder, "beta_dpo", run_beta_dpo, described)
