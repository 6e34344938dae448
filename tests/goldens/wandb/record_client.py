"""What the real client sends: a run of three steps, resumed for two more. Writes requests.json.

    python tests/goldens/wandb/record_client.py
"""
import json
import os
import pathlib
import re
import tempfile

from recording_server import Recorder

recorder = Recorder()
os.environ.update(
    WANDB_BASE_URL=recorder.url, WANDB_API_KEY="0" * 40, WANDB_MODE="online", WANDB_SILENT="true",
    WANDB_DIR=tempfile.mkdtemp(),
)
import wandb  # noqa: E402  it reads the environment when it is imported

settings = dict(
    console="off", disable_git=True, save_code=False, x_disable_stats=True, x_disable_meta=True,
)


def train(steps, **more):
    run = wandb.init(
        project="demo", id="golden01", config={"mode": "beta_dpo", "dpo_training": {"batch_size": 4}},
        settings=wandb.Settings(**settings), **more,
    )
    for step in steps:
        histogram = wandb.Histogram(np_histogram=([1, 2], [0.0, 1.0, 2.0]))
        run.log({"loss": 0.5 / step, "beta_dpo/M0": float(step), "distribution/margins": histogram}, step=step)
    run.finish()


train([1, 2, 3], name="first")
train([4, 5], resume="allow")

kept = []
for request in recorder.requests:
    path, body = request["path"], request["body"]
    if path == "/graphql":
        if body["operationName"] not in ("UpsertBucket", "RunResumeStatus"):
            continue
        # The machine and the client's own facts are nobody's business.
        for name in ("host", "program"):
            if body["variables"].get(name):
                body["variables"][name] = "removed"
        config = json.loads(body["variables"].get("config") or "{}")
        config.pop("_wandb", None)
        body["variables"]["config"] = config
        # Names are facts; the text of the query is the client's own.
        body["query"] = sorted(set(re.findall(r"[A-Za-z]+", body["query"])))
    elif not path.endswith("/file_stream"):
        continue
    request["authorization"] = "Basic base64(api:KEY)" if request["authorization"] else None
    kept.append(request)
lines = ",\n".join(f"  {json.dumps(request)}" for request in kept)
text = f' "client": {json.dumps(wandb.__version__)},\n "requests": [\n{lines}\n ]'
pathlib.Path(__file__).with_name("requests.json").write_text("{\n" + text + "\n}\n")
