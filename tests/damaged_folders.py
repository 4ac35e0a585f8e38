"""Results folders that something befell: what an edit, a crash, a bad disk or a stranger may leave, by name."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fmload.results.folder import Results
from fmload.results.journal import compact

WHOLE = Path(__file__).parent / "golden" / "results-0.1.0"

Damage = Callable[[Path], None]


def whole(folder: Path) -> Path:
    """A sound folder to be damaged, with its records."""
    shutil.copytree(WHOLE, folder)
    for name in ("records", "prompts", "logs", "figures"):
        (folder / name).mkdir()
    compact(Results(folder))
    (folder / "events.jsonl").write_text('{"at_ns": 1, "kind": "k", "worker": null, "stage": 0, "detail": ""}\n')
    (folder / "logs" / "telemetry.jsonl").write_text(
        '{"source": "s", "metric": "m", "labels": "{}", "at_ns": 1, "value": 1.0}\n')
    return folder


def _text(name: str, content: str | bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return damage


def _cut(name: str, share: float) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        os.truncate(path, int(path.stat().st_size * share))
    return damage


def _gone(name: str) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return damage


def _stage(**columns: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "stages.json"
        told = json.loads(path.read_text())
        told["stages"][0].update(columns)
        path.write_text(json.dumps(told))
    return damage


def _top(**columns: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "stages.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **columns}))
    return damage


def _worker(**columns: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "workers.json"
        told = json.loads(path.read_text())
        told[0].update(columns)
        path.write_text(json.dumps(told))
    return damage


def _directory(name: str) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        path.unlink(missing_ok=True)
        path.mkdir()
    return damage


def _noise(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(random.Random(7).randbytes(20_000))
    return damage


def _journals(change: Callable[[bytes], bytes], keep_records: bool = False) -> Damage:
    def damage(folder: Path) -> None:
        for path in (folder / "journal").glob("*.log"):
            path.write_bytes(change(path.read_bytes()))
        if not keep_records:
            shutil.rmtree(folder / "records")
    return damage


def _records(change: Callable[[pa.Table], pa.Table]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "records" / "stage-0000.parquet"
        pq.write_table(change(pq.read_table(path)), path)
        later_ns = path.stat().st_mtime_ns + 10**10
        for made in (folder / "records").glob("*.parquet"):
            os.utime(made, ns=(later_ns, later_ns))
    return damage


def _loop(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(name)
    return damage


DAMAGES: dict[str, Damage] = {
    **{f"{name} is empty": _text(name, "") for name in (
        "stages.json", "workers.json", "run.yml", "environment.json", "health.jsonl", "events.jsonl",
        "logs/telemetry.jsonl")},
    **{f"{name} is cut off": _cut(name, 0.6) for name in (
        "stages.json", "workers.json", "environment.json", "health.jsonl", "run.yml", "events.jsonl",
        "logs/telemetry.jsonl", "records/stage-0000.parquet")},
    **{f"{name} is noise": _noise(name) for name in (
        "stages.json", "workers.json", "run.yml", "environment.json", "health.jsonl", "events.jsonl",
        "logs/telemetry.jsonl", "records/stage-0000.parquet")},
    **{f"{name} is gone": _gone(name) for name in ("stages.json", "workers.json", "run.yml", "records", "journal",
                                                    "health.jsonl", "environment.json", "logs")},
    **{f"{name} is a folder": _directory(name) for name in ("stages.json", "workers.json", "run.yml", "health.jsonl",
                                                            "environment.json")},
    **{f"{name} is a list": _text(name, "[1, 2]") for name in ("stages.json", "workers.json", "run.yml",
                                                              "environment.json", "health.jsonl")},
    "stages.json links to itself": _loop("stages.json"),
    "stages.json is very deep": _text("stages.json", "[" * 200_000),
    "health.jsonl has other keys": _text("health.jsonl", '{"a": 1}\n{"worker": 3, "at_ns": "x"}\n'),
    "events.jsonl has other keys": _text("events.jsonl", '{"a": 1}\n3\n{"at_ns": "x", "kind": 4}\n'),
    "telemetry has other keys": _text("logs/telemetry.jsonl", '{"a": 1}\n3\n'),
    "schema 99": _top(schema=99), "schema of text": _top(schema="x"), "schema null": _top(schema=None),
    "no stages": _top(stages=[]), "stages are no list": _top(stages={"a": 1}), "run_id is a list": _top(run_id=[1]),
    "started_utc is a number": _top(started_utc=5),
    "load without a value": _stage(load={"kind": "rate"}),
    "unknown kind of load": _stage(load={"kind": "x", "value": 1}),
    "load of text": _stage(load={"kind": "concurrency", "value": "many"}),
    "unknown status": _stage(status="dead"), "instants of text": _stage(window_start_ns="now"),
    "instants beyond 64 bits": _stage(window_start_ns=10**30, window_end_ns=10**31),
    "window ends before it begins": _stage(window_end_ns=5), "a window of an age": _stage(window_end_ns=9 * 10**18),
    "a window that never ends": _stage(window_end_ns=None, status="running"),
    "negative stage": _stage(stage=-4), "huge stage": _stage(stage=2**40), "endpoint is a number": _stage(endpoint=5),
    "endpoint is a path": _stage(endpoint="../../etc/passwd"), "no load": _stage(load=None),
    "negative users": _stage(load={"kind": "concurrency", "value": -3}),
    "users without end": _stage(load={"kind": "concurrency", "value": 1e308}),
    "rate without arrivals": _stage(load={"kind": "rate", "value": 1e-9, "arrivals": {"process": "nobody"}}),
    "rate beyond measure": _stage(load={"kind": "rate", "value": 1e12, "arrivals": {"process": "constant"}}),
    "a trace without prompts": _stage(load={"kind": "trace", "value": 0}),
    "mix without parts": _stage(mix={"component": 4, "share": 2, "shares": [], "first": 9, "rate": None}),
    "find without limits": _stage(find={"objective": {"nobody": "1s"}, "confidence": 2, "window_s": -1, "extend": 0}),
    "marks of text": _stage(marks=["x"]), "workers of numbers": _stage(workers=[1]),
    "clock offset of text": _worker(clock_offset_ns="x"),
    "clock offset beyond 64 bits": _worker(clock_offset_ns=10**30),
    "a worker without a name": _worker(worker=None),
    "run.yml with other types": _text("run.yml", "endpoints: 3\nprompts: x\nload: [1]\nobjectives: 7\nname: [a]\n"),
    "run.yml with unknown limits": _text("run.yml", "objectives: {nobody: 3, ttft_p95: x}\nendpoints: [{name: a}]\n"),
    "run.yml with a price of text": _text("run.yml", "endpoints: [{name: a, price: {hourly: much}}]\n"),
    "run.yml is no YAML": _text("run.yml", "a: [\n\t}"),
    "journals of zeros": _journals(lambda data: bytes(len(data))),
    "journals of noise": _journals(lambda data: random.Random(1).randbytes(len(data))),
    "journals cut off": _journals(lambda data: data[:len(data) // 2]),
    "journals with a flipped bit": _journals(lambda data: data[:5000] + bytes([data[5000] ^ 8]) + data[5001:]),
    "empty journals": _journals(lambda data: b""),
    "journals of a later version": _journals(lambda data: b"\xc1fmload\x63\xc1FM\x63" + data),
    "journals without a header and a mark": _journals(lambda data: b"\xc1fmload\x63\xc1FM\x64" + data[:200]),
    "records lack a column": _records(lambda table: table.drop_columns(["send_ns"])),
    "records lack the chunks": _records(lambda table: table.drop_columns(["chunk_ns", "chunk_tokens"])),
    "records without a row": _records(lambda table: table.slice(0, 0)),
    "records of other types": _records(lambda table: table.set_column(
        table.schema.get_field_index("send_ns"), "send_ns", pa.array(["x"] * len(table)))),
    "records with nulls": _records(lambda table: table.set_column(
        table.schema.get_field_index("outcome"), "outcome", pa.array([None] * len(table), pa.string()))),
    "records of unknown outcomes": _records(lambda table: table.set_column(
        table.schema.get_field_index("outcome"), "outcome", pa.array(["x"] * len(table), pa.string()))),
    "instants of records at the end of time": _records(lambda table: table.set_column(
        table.schema.get_field_index("end_ns"), "end_ns", pa.array([2**63 - 1] * len(table), pa.int64()))),
    "instants of records before time": _records(lambda table: table.set_column(
        table.schema.get_field_index("send_ns"), "send_ns", pa.array([-2**63] * len(table), pa.int64()))),
}
