"""Writes parquet_files.json: small Parquet files by pyarrow, as base64, and the rows in them.

    python tests/data/parquet_files.py

Needs pyarrow. Run by hand; tests need the JSON only.
"""

import base64
import datetime
import io
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 9
MESSAGES = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
SCHEMA = pa.schema([
    ("prompt", pa.string()),
    ("chosen", MESSAGES),
    ("rejected", MESSAGES),
    ("score", pa.float64()),
    ("id", pa.int64()),
    ("count", pa.int32()),
    ("label", pa.bool_()),
    ("tags", pa.list_(pa.string())),
    ("meta", pa.struct([("a", pa.string()), ("b", pa.list_(pa.int64()))])),
    ("when", pa.timestamp("ms", tz="UTC")),
])


def turn(role, content):
    return {"content": content, "role": role}


def row(i):
    prompt = f"Question {i}: größer 😀?" if i != 3 else None
    return {
        "prompt": prompt,
        "chosen": [turn("user", f"Question {i}"), turn("assistant", "yes " * (i + 1))],
        "rejected": [turn("user", f"Question {i}"), turn("assistant", "no")] if i % 4 else [],
        "score": i / 4 if i != 5 else None,
        "id": 2**60 + 1 if i == 7 else i,
        "count": -i,
        "label": [True, False, None][i % 3],
        "tags": [None, [], ["x"], ["y", None, "z"]][i % 4],
        "meta": {"a": f"m{i}", "b": [i, i + 1]} if i != 6 else None,
        "when": datetime.datetime(2024, 2, 29, 12, 0, i, tzinfo=datetime.timezone.utc),
    }


def expected(value):
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if isinstance(value, dict):
        return {key: expected(member) for key, member in value.items()}
    if isinstance(value, list):
        return [expected(member) for member in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)
    return value


def write(table, whole=False, **options):
    """With `whole`, also what a reader can do without: statistics and Arrow's own schema."""
    out = io.BytesIO()
    pq.write_table(
        table,
        out,
        row_group_size=4,
        store_schema=whole,
        write_statistics=whole,
        **options,
    )
    return base64.b64encode(out.getvalue()).decode()


table = pa.Table.from_pylist([row(i) for i in range(ROWS)], schema=SCHEMA)
files = {
    codec: write(table, compression=codec)
    for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]
}
files["pages v2"] = write(table, compression="zstd", data_page_version="2.0", version="2.6")
files["plain"] = write(table, compression="none", use_dictionary=False)
files["checksums"] = write(table, whole=True, compression="snappy", write_page_checksum=True)
files["small pages"] = write(table, compression="snappy", data_page_size=16, write_batch_size=1)
files["delta"] = write(
    table.select(["prompt", "id", "count", "score", "label"]),
    compression="none",
    use_dictionary=False,
    column_encoding={
        "prompt": "DELTA_BYTE_ARRAY",
        "id": "DELTA_BINARY_PACKED",
        "count": "DELTA_BINARY_PACKED",
        "score": "BYTE_STREAM_SPLIT",
        "label": "RLE",
    },
    data_page_version="2.0",
)
files["delta lengths"] = write(
    table.select(["prompt"]),
    compression="none",
    use_dictionary=False,
    column_encoding={"prompt": "DELTA_LENGTH_BYTE_ARRAY"},
)
place = pathlib.Path(__file__).with_suffix(".json")
rows = [expected(entry) for entry in table.to_pylist()]
place.write_text(json.dumps({"files": files, "rows": rows}, indent=1) + "\n")
