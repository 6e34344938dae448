"""Whether `wandb sync` takes our offline folder. Writes synced.json: what the server got of it.

    deno run -A tests/goldens/wandb/offline_run.ts FOLDER
    python tests/goldens/wandb/check_sync.py FOLDER
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from recording_server import Recorder

recorder = Recorder()
log = next(pathlib.Path(sys.argv[1]).absolute().glob("wandb/*/*.wandb"))
env = {**os.environ, "WANDB_BASE_URL": recorder.url, "WANDB_API_KEY": "0" * 40}
command = [sys.executable, "-m", "wandb", "sync", str(log.parent)]
subprocess.run(command, env=env, check=True, cwd=tempfile.mkdtemp())

upsert = next(
    r["body"]["variables"] for r in recorder.requests
    if r["path"] == "/graphql" and "upsertBucket" in r["body"]["query"]
)
config = json.loads(upsert["config"])
config.pop("_wandb")
ends = [r["body"] for r in recorder.requests if r["path"].endswith("/file_stream")]
rows = [json.loads(line) for line in recorder.history[upsert["name"]]]
first_and_last = [dict(sorted(row.items())) for row in (rows[0], rows[-1])]
out = {
    "log_sha256": hashlib.sha256(log.read_bytes()).hexdigest(),
    "run": {name: upsert[name] for name in ("name", "project", "entity", "displayName")},
    "config": config,
    "steps": [row["_step"] for row in rows],
    "losses": [row.get("loss") for row in rows],
    "rows": first_and_last,
    "summary": json.loads(recorder.summary[upsert["name"]]),
    "complete": [end["complete"] for end in ends if "complete" in end],
    "exitcode": [end["exitcode"] for end in ends if "exitcode" in end],
}
out["summary"].pop("_wandb", None)
out["summary"] = dict(sorted(out["summary"].items()))
lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in out.items())
pathlib.Path(__file__).with_name("synced.json").write_text("{\n" + lines + "\n}\n")
