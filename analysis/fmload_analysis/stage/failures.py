"""What the failed requests said: messages by endpoint and outcome, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fmload_analysis.run import BATCH_ROWS, Run

MOST_KINDS = 500  # distinct messages that are told apart; further ones are counted without their text
_COLUMNS = ("endpoint", "outcome", "status", "error")
LONGEST = 300  # characters of a message that are shown


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Requests of one endpoint that failed alike. `status` and `message` are None where there was none."""

    endpoint: str
    outcome: str
    status: int | None
    message: str | None
    count: int


def failures(run: Run) -> list[FailureGroup]:
    """All failures of the run, the client's own among them (not what it cancelled), warm-up and drain included, the
    most frequent first. Those of superseded stages are in no figure, and not here."""
    counted: Counter[tuple[str, str, int | None, str | None]] = Counter()
    no_failures = pa.array(["ok", "cancelled"])  # what the client gave up did not fail
    superseded = pa.array([stage.stage for stage in run.stages if stage.status == "superseded"], pa.int32())
    for path in sorted(run.results.records.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=["stage", *_COLUMNS]):
                failed = batch.filter(pc.invert(pc.is_in(batch.column("outcome").cast("string"), no_failures)))
                told = failed.filter(pc.invert(pc.is_in(failed.column("stage"), superseded)))
                _count(counted, zip(*(told.column(name).to_pylist() for name in _COLUMNS), strict=True))
    return [FailureGroup(*kind, count) for kind, count in counted.most_common()]


def _count(counted: Counter[tuple[str, str, int | None, str | None]], rows: zip[tuple[str, str, int, str]]) -> None:
    for endpoint, outcome, status, error in rows:
        kind = (endpoint, outcome, status, error[:LONGEST] if error else None)
        known = kind in counted or len(counted) < MOST_KINDS
        counted[kind if known else (endpoint, outcome, status, None)] += 1
