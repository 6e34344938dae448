"""The 80 preference pairs all training goldens share, as ids and as text of the tiny tokenizer."""

import random

from tiny_models import BOS, EOS

ROWS = 80


def make_pairs() -> list[dict]:
    """Rows {prompt, chosen, rejected} of ids; prompts begin with BOS, answers end with EOS.

    Chosen answers lean to low ids and rejected ones to high ids, so that the loss falls; a quarter
    of the rows is the other way round, so that it does not vanish within 50 steps.
    """
    rng = random.Random(4)
    rows = []
    for row in range(ROWS):
        prompt = [BOS] + [rng.randrange(3, 128) for _ in range(rng.randrange(2, 14))]
        low = [rng.randrange(3, 70) for _ in range(rng.randrange(1, 12))]
        high = [rng.randrange(60, 128) for _ in range(rng.randrange(1, 12))]
        if row % 4 == 3:
            low, high = high, low
        if row % 8 == 5:  # answers that begin alike
            high = low[:2] + high
        rows.append({"prompt": prompt, "chosen": low + [EOS], "rejected": high + [EOS]})
    return rows


def as_text(ids: list[int]) -> str:
    return "".join(f"<{i}>" for i in ids)


def text_row(row: dict) -> dict:
    """The row as text without the final EOS, which trainers add themselves; BOS is in the prompt."""
    return {
        "prompt": as_text(row["prompt"]),
        "chosen": as_text(row["chosen"][:-1]),
        "rejected": as_text(row["rejected"][:-1]),
    }
