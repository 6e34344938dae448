"""Ten optimizer steps of TRL's own trainers for each of its losses: `trl_losses.json`.

What is run, and with which settings, stands in `trl_cases.py`. All runs start from the tiny model
`llama`. The reference is the same model with every weight times 17/16, a product that rounds the
same way everywhere: near enough that no exponential of a log-ratio runs away, and different enough
that no log-ratio is 0, so that losses which agree at policy = reference can be told apart. It is
surer of itself than the policy, hence less likely to say what neither has learnt: the baseline of
KTO is not cut off at 0.
"""

import tempfile
from pathlib import Path

import torch
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback

import settings
import trl_cases
from compact import write_json
from pairs import make_pairs, text_row
from trl_watch import AnswerLogps, RowWatcher

STEPS = 10
WARMUP = 2
LEARNING_RATE = 2e-3
REFERENCE_SCALE = 17 / 16
# Of the tolerance of the tests, 1e-4 times max(1, |loss|): what training must have moved the loss by.
LEAST_MOVEMENT = 30
KEYS = (
    "loss", "grad_norm", "learning_rate", "kl", "nll_loss",
    "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies",
    "logps/chosen", "logps/rejected",
)


def rounded(value: float) -> float:
    """Nine significant digits tell every float32 apart."""
    return float(f"{value:.9g}")


def arguments(case: dict, folder: str, learning_rate: float):
    """The trainer's config for a case."""
    return case["config"](
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        fp16=False,
        gradient_checkpointing=False,
        max_steps=STEPS,
        per_device_train_batch_size=settings.BATCH,
        gradient_accumulation_steps=settings.ACCUMULATION,
        learning_rate=learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=WARMUP,
        optim="adamw_torch",
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_epsilon=1e-8,
        weight_decay=0.0,
        max_grad_norm=settings.MAX_GRAD_NORM,
        train_sampling_strategy="sequential",
        disable_dropout=True,
        logging_steps=1,
        logging_strategy="steps",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
        **case["arguments"],
    )


def model(folder: Path, scale: float = 1.0):
    """The tiny model with every weight times `scale`."""
    loaded = AutoModelForCausalLM.from_pretrained(folder / "llama", dtype=torch.float32)
    with torch.no_grad():
        for weight in loaded.parameters():
            weight.mul_(scale)
    return loaded


def dataset_rows(case: dict) -> list[dict]:
    """What TRL is given: pairs, or one answer of each with a label, good ones and bad ones mixed."""
    rows = [text_row(row) for row in make_pairs()]
    if case["rows"] == "pairs":
        return rows
    return [
        {"prompt": row["prompt"], "completion": row["chosen" if good else "rejected"], "label": good}
        for row, good in zip(rows, map(trl_cases.label, range(len(rows))), strict=True)
    ]


def expected_rows(case: dict) -> list[tuple]:
    """The rows in the order they are trained on, as `RowWatcher` notes them."""
    rows = [
        (row["prompt"], row["chosen"], row["rejected"])
        if case["rows"] == "pairs"
        else (row["prompt"], row["chosen" if trl_cases.label(k) else "rejected"])
        for k, row in enumerate(make_pairs())
    ]
    if case["arguments"].get("loss_type") == "kto":
        # Each prompt with the answer of the row before it in its batch, the first with the last's.
        rows = [
            (prompt, answer, rows[k - 1 if k % settings.BATCH else k + settings.BATCH - 1][1])
            for k, (prompt, answer) in enumerate(rows)
        ]
    trained = STEPS * settings.ACCUMULATION * settings.BATCH
    return [rows[k % len(rows)] for k in range(trained)]


def run_case(
    folder: Path, case: dict, learning_rate: float = LEARNING_RATE
) -> tuple[list[dict], list[float]]:
    """(log of each step, log-probabilities of the last step's answers); checks the ids and their order."""
    with tempfile.TemporaryDirectory() as temporary:
        given = {"ref_model": model(folder, REFERENCE_SCALE)} if case["reference"] else {}
        trainer = case["trainer"](
            model=model(folder),
            args=arguments(case, temporary, learning_rate),
            train_dataset=Dataset.from_list(dataset_rows(case)),
            processing_class=AutoTokenizer.from_pretrained(folder / "llama"),
            **given,
        )
        watcher = RowWatcher(trainer.data_collator)
        trainer.data_collator = watcher
        trainer.remove_callback(PrinterCallback)
        answers = AnswerLogps(trainer)
        trainer.train()
    seen = [tuple(list(ids) for ids in row) for row in watcher.seen]
    expected = expected_rows(case)
    # The loader reads ahead: what it read beyond the last step was not trained on.
    if seen[: len(expected)] != expected:
        raise RuntimeError(f"{case['name']}: TRL trained on other ids, or in another order")
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    if len(log) != STEPS:
        raise RuntimeError(f"{case['name']}: {len(log)} steps were logged")
    return log, answers.of_last(settings.ACCUMULATION, STEPS * settings.ACCUMULATION)


def columns(log: list[dict], answers: list[float]) -> dict:
    """One list over the steps for each logged number, and `answers`: one number an answer."""
    kept = [key for key in KEYS if key in log[0]]
    curve = {key: [rounded(entry[key]) for entry in log] for key in kept}
    return {**curve, "answers": [rounded(value) for value in answers]}


def movement(trained: dict, still: dict) -> float:
    """How far training moved the loss from that of the first weights on the same rows, in tolerances."""
    pairs = zip(trained["loss"], still["loss"], strict=True)
    return max(abs(a - b) / (1e-4 * max(1.0, abs(a))) for a, b in pairs)


def write_trl_losses(folder: Path) -> None:
    """`trl_losses.json`: settings once, then a curve for each case."""
    disable_progress_bars()
    curves = {}
    for case in trl_cases.all_cases():
        name = case["name"]
        curves[name] = columns(*run_case(folder, case))
        moved = movement(curves[name], columns(*run_case(folder, case, learning_rate=0.0)))
        print(f"{name}: the loss moves by {moved:.0f} tolerances", flush=True)
        if moved < LEAST_MOVEMENT:
            raise RuntimeError(f"{name}: the loss moves by {moved} tolerances only")
    described = settings.describe(
        STEPS,
        learningRate=LEARNING_RATE,
        warmupSteps=WARMUP,
        reference="llama, every weight times referenceScale",
        referenceScale=REFERENCE_SCALE,
        labels=[int(trl_cases.label(row)) for row in range(len(make_pairs()))],
    )
    write_json(folder / "trl_losses.json", {
        "settings": described,
        "madeBy": "TRL's trainers, float32",
        "note": "answers: log-probabilities before the last update, summed over all answer tokens (averaged "
        "where the trainer takes averages), micro-batch by micro-batch: chosen of each row, then rejected of "
        "each; with labels, the one answer of each row",
        "arguments": {
            case["name"]: {"trainer": case["trainer"].__name__, **case["arguments"]}
            for case in trl_cases.all_cases()
        },
        "curves": curves,
    })
