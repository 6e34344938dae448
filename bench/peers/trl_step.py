"""DPO steps of TRL's DPOTrainer, one for each line "step" on stdin.

stdin: a line of JSON (config, parameters, pairs, settings), the weights as raw little-endian float32 in
the order of parameters, then the lines. stdout: a line of JSON when the libraries are there, when ready,
after each step, and for "end". Needs torch, transformers, trl and datasets; nothing is downloaded and nothing is kept.
"""

import copy
import json
import math
import os
import resource
import sys
import tempfile
import time

FOLDER = tempfile.TemporaryDirectory()
os.environ["HF_HOME"] = FOLDER.name
os.environ["HF_HUB_OFFLINE"] = "1"
ANSWERS = os.fdopen(os.dup(1), "w")
# What libraries print must not get between the answers.
os.dup2(2, 1)


def answer(**values) -> None:
    print(json.dumps(values), file=ANSWERS, flush=True)


try:
    import datasets
    import numpy
    import tokenizers
    import torch
    import transformers
    import trl
except ImportError as error:
    answer(error=f"Python has no module {error.name}")
    sys.exit(0)


def read_model(job: dict) -> torch.nn.Module:
    """The model with the weights that follow the job on stdin."""
    known = set(transformers.LlamaConfig().to_dict()) | {"rope_theta"}
    fields = {name: value for name, value in job["config"].items() if name in known - {"model_type"}}
    config = transformers.LlamaConfig(**fields, bos_token_id=0, eos_token_id=0)
    model = transformers.LlamaForCausalLM(config).float()
    weights = {}
    for name, shape in job["parameters"]:
        data = sys.stdin.buffer.read(4 * math.prod(shape))
        weights[name] = torch.from_numpy(numpy.frombuffer(data, "<f4").reshape(shape).copy())
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"other parameters: {missing} are missing, {unexpected} are not known")
    model.tie_weights()
    return model


def small_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Only its end and padding are used: the rows are ids already."""
    model = tokenizers.models.WordLevel({"</s>": 0, "<pad>": 1}, unk_token="<pad>")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(model), eos_token="</s>", pad_token="<pad>"
    )


class Trainer(trl.DPOTrainer):
    """DPOTrainer on rows of ids, remembering its loss."""

    last_loss = math.nan

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset

    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        self.last_loss = float(loss.detach())
        return loss


class OnDemand(transformers.TrainerCallback):
    """Starts a step when stdin says so, and answers with its seconds."""

    trainer: Trainer

    def on_step_begin(self, *args, **kwargs):
        line = sys.stdin.buffer.readline().strip()
        if line != b"step":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            answer(peak_bytes=peak)
            FOLDER.cleanup()
            os._exit(0)
        self.start = time.perf_counter()

    def on_step_end(self, *args, **kwargs):
        answer(seconds=time.perf_counter() - self.start, loss=self.trainer.last_loss)


def make_trainer(job: dict) -> Trainer:
    pairs = job["pairs"]
    arguments = trl.DPOConfig(
        output_dir=FOLDER.name,
        use_cpu=True,
        bf16=False,
        fp16=False,
        max_steps=1000,
        per_device_train_batch_size=len(pairs),
        lr_scheduler_type="constant",
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **job["settings"],
    )
    demand, model = OnDemand(), read_model(job)
    cached = job["settings"].get("precompute_ref_log_probs", False)
    demand.trainer = Trainer(
        model=model,
        # Without one TRL would load the reference by the name of the model's folder.
        ref_model=None if cached else copy.deepcopy(model),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(pairs),
        processing_class=small_tokenizer(),
        callbacks=[demand],
    )
    return demand.trainer


def main() -> None:
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__}
    answer(versions=versions, threads=torch.get_num_threads())
    job = json.loads(sys.stdin.buffer.readline())
    trainer = make_trainer(job)
    answer(ready=True)
    trainer.train()


try:
    main()
except Exception as error:
    answer(error=f"{type(error).__name__}: {error}"[:500])
    raise
