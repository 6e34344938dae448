"""Makes the numbers that tests compare the engine and the trainer with (tests/goldens/torch).

    pip install -r tools/goldens/requirements.txt     (the CPU build of torch is enough)
    python3 tools/goldens/make_goldens.py             writes tests/goldens/torch and MANIFEST.json
    python3 tools/goldens/make_goldens.py --check     makes all again elsewhere and compares bytes
    python3 tools/goldens/make_goldens.py --losses    makes trl_losses.json only, and the manifest

Everything is seeded and runs on one thread. Numbers made in float64 are the same wherever the
versions of the manifest run; the float32 run of TRL may differ in its last bits on another CPU.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ[variable] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import torch  # noqa: E402  (after the environment)

import curves  # noqa: E402
import optimizers  # noqa: E402
import parity  # noqa: E402
import tiny_models  # noqa: E402
import trl_losses  # noqa: E402
import trl_run  # noqa: E402

PACKAGES = (
    "torch", "transformers", "trl", "safetensors", "tokenizers", "datasets", "accelerate", "numpy",
)
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "tests" / "goldens" / "torch"


def make_all(folder: Path) -> None:
    """Writes every golden into `folder`, replacing what an earlier run left there."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "MANIFEST.json").exists():
            sys.exit(f"'{folder}' is not empty and holds no goldens: give another --out, or empty it")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in tiny_models.NAMES:
        tiny_models.write_model(folder, name)
        parity.write_parity(folder, name)
    parity.write_rope(folder)
    optimizers.write_optimizers(folder)
    optimizers.write_schedules(folder)
    trl_run.write_pairs(folder)
    trl_run.write_dpo(folder, "dpo", reference="llama", keep_weights=True)
    trl_run.write_dpo(folder, "dpo_other_reference", reference="tied", keep_weights=False)
    curves.write_sft(folder)
    curves.write_risk(folder)
    curves.write_beta_dpo(folder)
    trl_losses.write_trl_losses(folder)


def write_manifest(folder: Path) -> None:
    """Lists versions and, for every file, its size and sha256."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "MANIFEST.json")
    for path in files:
        path.chmod(0o644)
    manifest = {
        "generator": "tools/goldens/make_goldens.py",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "totalBytes": sum(p.stat().st_size for p in files),
        "files": {
            p.relative_to(folder).as_posix(): {
                "bytes": p.stat().st_size,
                "sha256": hashlib.sha256(p.read_bytes()).hexdigest(),
            }
            for p in files
        },
    }
    (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n")


def check(folder: Path) -> int:
    """Makes all goldens again and names the files whose bytes differ; 0 if none does."""
    with tempfile.TemporaryDirectory() as temporary:
        again = Path(temporary) / "torch"
        make_all(again)
        write_manifest(again)
        old = json.loads((folder / "MANIFEST.json").read_text())["files"]
        new = json.loads((again / "MANIFEST.json").read_text())["files"]
    different = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    for name in different:
        print(f"differs: {name}")
    print(f"{len(new) - len(different)} of {len(new)} files are the same")
    return 1 if different else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the goldens of tests/goldens/torch")
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--losses", action="store_true", help="write trl_losses.json, keep the rest")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if arguments.check:
        return check(arguments.out)
    if arguments.losses:
        trl_losses.write_trl_losses(arguments.out)
    else:
        make_all(arguments.out)
    write_manifest(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
