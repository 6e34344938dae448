"""50 steps of TRL's own DPOTrainer on the tiny model, and the same 50 steps in float64."""

import json
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

import curves
import forward64
import settings
from compact import digests, write_json
from pairs import make_pairs, text_row
from tiny_models import BOS, EOS

KEYS = (
    "loss",
    "grad_norm",
    "learning_rate",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
)


class RecordingTrainer(DPOTrainer):
    """DPOTrainer that keeps the ids its model was given, with padding taken off."""

    def compute_loss(self, model, inputs, *args, **kwargs):
        size = inputs["input_ids"].shape[0] // 2
        for i in range(size):
            prompt, chosen = self._split(inputs, i)
            other, rejected = self._split(inputs, i + size)
            if prompt != other:
                raise RuntimeError("the two prompts of a pair differ")
            self.seen.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
        return super().compute_loss(model, inputs, *args, **kwargs)

    @staticmethod
    def _split(inputs, i: int) -> tuple[list[int], list[int]]:
        real = inputs["attention_mask"][i].bool()
        scored = inputs["completion_mask"][i].bool()
        ids = inputs["input_ids"][i]
        return ids[real & ~scored].tolist(), ids[real & scored].tolist()


def write_pairs(folder: Path) -> None:
    """`pairs.json` (ids as the model sees them) and `pairs.jsonl` (text for the tokenizer)."""
    rows = make_pairs()
    write_json(folder / "pairs.json", {
        "bos": BOS,
        "eos": EOS,
        "note": "ids as the model sees them: BOS opens each prompt, EOS closes each answer and is scored",
        "rows": rows,
    })
    lines = [json.dumps(text_row(row)) for row in rows]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")


def run_trl(folder: Path, reference: str) -> tuple[list[dict], dict]:
    """(log of each step, final weights) of DPOTrainer; checks order and ids of what was trained on."""
    rows = make_pairs()
    with tempfile.TemporaryDirectory() as temporary:
        arguments = DPOConfig(
            output_dir=temporary,
            use_cpu=True,
            bf16=False,
            fp16=False,
            gradient_checkpointing=False,
            max_steps=settings.STEPS,
            per_device_train_batch_size=settings.BATCH,
            gradient_accumulation_steps=settings.ACCUMULATION,
            learning_rate=settings.LEARNING_RATE,
            lr_scheduler_type="linear",
            warmup_steps=settings.WARMUP,
            optim="adamw_torch",
            adam_beta1=0.9,
            adam_beta2=0.999,
            adam_epsilon=1e-8,
            weight_decay=0.0,
            max_grad_norm=settings.MAX_GRAD_NORM,
            train_sampling_strategy="sequential",
            beta=settings.BETA,
            loss_type=["sigmoid"],
            disable_dropout=True,
            logging_steps=1,
            logging_strategy="steps",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=0,
        )
        trainer = RecordingTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder / "llama", dtype=torch.float32),
            ref_model=AutoModelForCausalLM.from_pretrained(folder / reference, dtype=torch.float32),
            args=arguments,
            train_dataset=Dataset.from_list([text_row(row) for row in rows]),
            processing_class=AutoTokenizer.from_pretrained(folder / "llama"),
        )
        trainer.seen = []
        trainer.train()
    calls = settings.STEPS * settings.ACCUMULATION
    expected = [row for call in range(calls) for row in curves.call_rows(rows, call)]
    if trainer.seen != expected:
        raise RuntimeError("TRL trained on other ids, or in another order, than pairs.json says")
    log = [{key: entry[key] for key in KEYS} for entry in trainer.state.log_history if "loss" in entry]
    weights = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    return log, weights


def write_dpo(folder: Path, name: str, reference: str, keep_weights: bool) -> None:
    """`<name>.json`, and with `keep_weights` the final weights as `<name>_final.safetensors`."""
    log, final = run_trl(folder, reference)
    twin, twin_final = curves.run_dpo(folder, reference)
    _, start = forward64.load(folder / "llama")
    both = list(zip(log, twin, strict=True))
    distance = {key: max(abs(a[key] - b[key]) for a, b in both) for key in KEYS}
    distance["weights"] = max((final[k].double() - twin_final[k]).abs().max().item() for k in final)
    if distance["loss"] > 1e-5:
        raise RuntimeError(f"TRL and its float64 twin differ: {distance}")
    if keep_weights:
        save_file({k: v.contiguous() for k, v in final.items()}, folder / f"{name}_final.safetensors")
    write_json(folder / f"{name}.json", {
        "settings": settings.describe(mode="dpo", reference=reference, beta=settings.BETA, lossType="sigmoid"),
        "madeBy": "TRL DPOTrainer, float32",
        "distanceFromFloat64": distance,
        "steps": log,
        "finalWeights": digests(final, start),
    })
