"""What TensorBoard's own reader finds in our event files. Writes found.json.

    deno run -A tests/goldens/tensorboard/event_files.ts FOLDER
    python tests/goldens/tensorboard/read_events.py FOLDER
"""
import hashlib
import json
import pathlib
import sys

import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = pathlib.Path(sys.argv[1])
reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
reader.Reload()
tags = reader.Tags()


def histogram(event):
    value = event.histogram_value
    return {
        "step": event.step, "min": value.min, "max": value.max, "num": value.num, "sum": value.sum,
        "sum_squares": value.sum_squares, "limits": list(value.bucket_limit), "counts": list(value.bucket),
    }


out = {
    "tensorboard": tensorboard.__version__,
    "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())},
    "scalars": {t: [[e.step, e.value, e.wall_time] for e in reader.Scalars(t)] for t in tags["scalars"]},
    "histograms": {t: [histogram(e) for e in reader.Histograms(t)] for t in tags["histograms"]},
    "texts": {
        t: {
            "plugin": reader.SummaryMetadata(t).plugin_data.plugin_name,
            "values": [[e.step, e.tensor_proto.string_val[0].decode()] for e in reader.Tensors(t)],
        } for t in tags["tensors"]
    },
}
lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in out.items())
pathlib.Path(__file__).with_name("found.json").write_text("{\n" + lines + "\n}\n")
