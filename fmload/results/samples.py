"""Sample: one value of one metric at one instant; kept line by line as it comes, and as columns at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fmload.base.resources import read_json_lines

SCHEMA = pa.schema([("source", pa.string()), ("metric", pa.string()), ("labels", pa.string()), ("at_ns", pa.int64()),
                    ("value", pa.float64())])


@dataclass(frozen=True, slots=True)
class Sample:
    """`source` is the collector's name in the run file; `at_ns` of the master's monotonic clock."""

    source: str
    metric: str
    at_ns: int
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The sample with its labels as sorted JSON, the form in which both files keep it."""
        return {"source": self.source, "metric": self.metric, "labels": json.dumps(dict(sorted(self.labels.items()))),
                "at_ns": self.at_ns, "value": self.value}


@dataclass(frozen=True, slots=True)
class Window:
    """From the first ramp to the last drain: on the master's clock, and what turns that into the wall clock."""

    start_ns: int
    end_ns: int
    wall_anchor_ns: int

    def at_ns(self, epoch_s: float) -> int:
        """The master's instant of a wall-clock time."""
        return int(epoch_s * 1e9) - self.wall_anchor_ns


class TelemetryCollector(Protocol):
    """One source of samples. `every_s` None: it is asked once, when the load has ended, by `after(window)`.

    `collect()` is called every `every_s` seconds in a thread of its own; both may raise OSError, ValueError or
    RuntimeError for what goes wrong outside, which becomes a warning of the report and never fails the run.
    """

    every_s: float | None

    def collect(self) -> Iterable[Sample]: ...

    def after(self, window: Window) -> Iterable[Sample]: ...

    def close(self) -> None: ...


class SampleLog:
    """Appends samples as JSON lines, from several threads."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a", encoding="utf-8")
        self._lock = Lock()

    def add(self, samples: Iterable[Sample]) -> None:
        """Write them at once: what was written survives the process. Those before an error are written, too."""
        lines: list[str] = []
        try:
            lines.extend(json.dumps(sample.row()) + "\n" for sample in samples)
        finally:
            with self._lock:
                self._file.write("".join(lines))
                self._file.flush()

    def close(self) -> None:
        self._file.close()


def to_parquet(log: Path, path: Path) -> int:
    """Make the columns from the lines; those that are torn or no samples are left out. Returns how many there are."""
    rows = [line for line in read_json_lines(log) if _is_row(line)]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    return len(rows)


def _is_row(line: dict[str, Any]) -> bool:
    return (all(isinstance(line.get(name), str) for name in ("source", "metric", "labels"))
            and isinstance(line.get("value"), int | float) and isinstance(at_ns := line.get("at_ns"), int)
            and -2**63 <= at_ns < 2**63)
