"""What TRL's trainers are given and what their models answer, read off on the way."""

import torch


class RowWatcher:
    """A collator that keeps the ids of the answers it is given, for the check of their order."""

    def __init__(self, collate):
        self.collate, self.seen = collate, []

    def __call__(self, examples):
        self.seen += map(self._row, examples)
        return self.collate(examples)

    @staticmethod
    def _row(example: dict) -> tuple:
        """(prompt, answers): two of a pair; one of a row with a label, then the one it is mismatched with."""
        if "completion_ids" in example:
            names = [name for name in ("completion_ids", "KL_completion_ids") if name in example]
            return example["prompt_ids"], *(example[name] for name in names)
        if "chosen_ids" in example:
            return example["prompt_ids"], example["chosen_ids"], example["rejected_ids"]
        # CPO and ORPO keep the prompt in front of each answer.
        prompt = example["prompt_input_ids"]
        return prompt, *(example[f"{side}_input_ids"][len(prompt):] for side in ("chosen", "rejected"))


class AnswerLogps:
    """Log-probabilities of the policy's answers in each forward pass that is trained on."""

    def __init__(self, trainer):
        self.calls = []
        for name in ("cpo_loss", "odds_ratio_loss"):
            if hasattr(trainer, name):
                setattr(trainer, name, self._noting(getattr(trainer, name)))
                return
        trainer.model.register_forward_hook(self._after_forward)

    def _noting(self, loss):
        """The loss of a trainer that has its two arguments summed or averaged already."""

        def noted(chosen, rejected):
            self.calls.append(chosen.detach().tolist() + rejected.detach().tolist())
            return loss(chosen, rejected)

        return noted

    def _after_forward(self, _model, _inputs, outputs):
        """Positions without a label count as 0; the baseline of KTO is taken without gradients."""
        if torch.is_grad_enabled():
            self.calls.append(outputs.log_probs.detach().sum(dim=1).tolist())

    def of_last(self, count: int, expected: int) -> list[float]:
        """The answers of the last `count` passes of `expected`."""
        if len(self.calls) != expected:
            raise RuntimeError(f"{len(self.calls)} forward passes instead of {expected}")
        return [value for call in self.calls[-count:] for value in call]
