"""The losses that `trl_losses.py` runs: one entry for each `loss_type` and modifier of TRL.

Betas are chosen so that the loss is neither flat nor at a kink for log-ratios of a few nats.
"""

from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

BETA = 0.3
# Every loss type of the installed DPOTrainer that needs nothing but beta.
PLAIN = (
    "sigmoid", "hinge", "ipo", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
)


def label(row: int) -> bool:
    """Whether row `row` shows its chosen answer: good and bad ones in no regular order."""
    return (row * 2654435761 % 2**32) >> 31 == 0


def dpo(name: str, **arguments) -> dict:
    given = {"beta": BETA, "loss_type": ["sigmoid"], **arguments}
    return {
        "name": name, "trainer": DPOTrainer, "config": DPOConfig, "rows": "pairs", "reference": True,
        "arguments": given,
    }


def kto(name: str, **arguments) -> dict:
    return {
        "name": name, "trainer": KTOTrainer, "config": KTOConfig, "rows": "unpaired",
        "reference": True, "arguments": {"beta": BETA, **arguments},
    }


def alone(name: str, trainer, config, **arguments) -> dict:
    """A trainer that has no reference."""
    return {
        "name": name, "trainer": trainer, "config": config, "rows": "pairs", "reference": False,
        "arguments": {"beta": BETA, **arguments},
    }


def modified() -> list[dict]:
    """Divergences, smoothing, mixes and what else changes a loss of DPOTrainer."""
    cases = [
        dpo("exo_pair", loss_type=["exo_pair"], label_smoothing=1e-3),
        dpo("exo_pair_smoothed", loss_type=["exo_pair"], label_smoothing=0.1),
        dpo("robust_smoothed", loss_type=["robust"], label_smoothing=0.1),
        dpo("aot_smoothed", loss_type=["aot"], label_smoothing=0.1),
        dpo("aot_unpaired_smoothed", loss_type=["aot_unpaired"], label_smoothing=0.1),
        dpo("mpo", loss_type=["sigmoid", "bco_pair", "sft"], loss_weights=[0.8, 0.2, 1.0]),
    ]
    for short in ("forward_kl", "js_divergence", "alpha_divergence"):
        cases.append(dpo(f"sigmoid_{short}", f_divergence_type=short))
    # Averages over lengths that differ: constants of a divergence do not cancel in these.
    cases.append(dpo("ipo_js_divergence", loss_type=["ipo"], f_divergence_type="js_divergence"))
    cases.append(
        dpo("sigmoid_norm_forward_kl", loss_type=["sigmoid_norm"], f_divergence_type="forward_kl")
    )
    cases.append(
        dpo("sigmoid_norm_alpha_divergence", loss_type=["sigmoid_norm"],
            f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.7)
    )
    cases.append(dpo("sigmoid_ld", ld_alpha=0.5))
    cases.append(dpo("ipo_ld", ld_alpha=0.5, loss_type=["ipo"]))
    cases.append(dpo("sigmoid_weighted", use_weighting=True))
    cases.append(dpo("ipo_weighted", use_weighting=True, loss_type=["ipo"]))
    sync = {"sync_ref_model": True, "ref_model_mixup_alpha": 0.6, "ref_model_sync_steps": 2}
    cases.append(dpo("sigmoid_synced", **sync))
    cases.append(dpo("apo_zero_synced", loss_type=["apo_zero"], **sync))
    return cases


def others() -> list[dict]:
    """The trainers beside DPOTrainer."""
    cases = []
    for variant in ("sigmoid", "hinge", "ipo", "simpo"):
        for alpha in (0.0, 1.0):
            cases.append(
                alone(f"cpo_{variant}_{alpha:.0f}", CPOTrainer, CPOConfig, loss_type=variant,
                      cpo_alpha=alpha)
            )
    cases.append(alone("cpo_smoothed", CPOTrainer, CPOConfig, label_smoothing=0.1))
    cases.append(alone("cpo_alpha_po", CPOTrainer, CPOConfig, loss_type="simpo", alpha=0.25,
                       cpo_alpha=0.0))
    cases.append(alone("orpo", ORPOTrainer, ORPOConfig))
    cases.append(kto("kto", loss_type="kto", desirable_weight=1.0, undesirable_weight=1.5))
    cases.append(kto("apo_zero_unpaired", loss_type="apo_zero_unpaired"))
    return cases


def all_cases() -> list[dict]:
    plain = [dpo(name, loss_type=[name]) for name in PLAIN]
    return plain + modified() + others()
