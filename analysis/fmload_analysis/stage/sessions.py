"""The sessions of a stage: how they ended, how long they took, and where the time went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fmload.base.errors import FmloadError, first_line
from fmload.metrics.definitions import NS, Floats, ratio, session_duration
from fmload.model.stage import Stage
from fmload_analysis.run import Run
from fmload_analysis.stage.contexts import class_name, context_class

PARTS = ("path_waiting", "path_decoding", "path_tools", "path_thinking")


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """Sessions of one name, or all of a stage. `finished` and `failed` are those that ended inside the window, `cut`
    all that the end of their stage broke off; means and durations are of the finished ones, in seconds.

    `parts_s` are those of the critical path; with the client's own time they add up to the mean duration. `values_s`:
    durations of the finished and failed ones in order of their ends, +∞ for a failed one.
    """

    name: str
    finished: int
    failed: int
    cut: int
    durations_s: Floats
    requests_mean: float | None
    parts_s: Mapping[str, float] = field(default_factory=dict)  # means of PARTS; none of runs that lack them
    values_s: Floats = field(default_factory=lambda: np.array([]))
    prefill_s: float | None = None  # mean part of the waiting that the server told as its prefill

    @property
    def finished_share(self) -> float | None:
        """Finished ÷ (finished + failed)."""
        return ratio(self.finished, self.finished + self.failed)

    @property
    def mean_s(self) -> float | None:
        """Mean duration of the finished ones."""
        return float(self.durations_s.mean()) if len(self.durations_s) else None


@dataclass(frozen=True, slots=True)
class Sessions:
    """All sessions of a stage: those whose users are there. `lost`: their requests are there and their end is nowhere,
    as of a worker that died."""

    whole: SessionSummary
    by_name: tuple[SessionSummary, ...]
    lost: int = 0
    under_way: float | None = None  # at a time, on average over the window
    begun: int = 0  # inside the window
    by_context: tuple[SessionSummary, ...] = ()  # by the longest prompt in each, where there are several classes


def sessions_of(run: Run, stage: Stage, seen: Iterable[str] = ()) -> Sessions | None:
    """The sessions of one stage; None where it has none. `seen`: the sessions that its requests name."""
    rows, lost = _rows(run, stage, seen)
    if not rows and not lost:
        return None
    window = stage.window_ns
    names = sorted({row["name"] for row in rows})
    by_name = tuple(_summary(name, [row for row in rows if row["name"] == name], window) for name in names)
    return Sessions(_summary("", rows, window), by_name, len(lost), _under_way(rows, window),
                    sum(0 <= row["begin_ns"] < window for row in rows), _by_context(rows, window))


def _by_context(rows: list[dict[str, Any]], window: int) -> tuple[SessionSummary, ...]:
    known = [(context_class(row["context_tokens"]), row) for row in rows if row.get("context_tokens")]
    classes = sorted({number for number, _ in known})
    if len(classes) < 2:
        return ()
    return tuple(_summary(class_name(number), [row for other, row in known if other == number], window)
                 for number in classes)


def _under_way(rows: list[dict[str, Any]], window: int) -> float | None:
    """How many sessions were under way on average; one that the end of the stage cut was until then."""
    if not window:
        return None
    begun, ended = _instants(rows)
    ended = np.where([row["outcome"] == "cut" for row in rows], np.inf, ended)
    return float(np.nansum(np.clip(np.minimum(ended, window) - np.maximum(begun, 0), 0, None))) / window


def _rows(run: Run, stage: Stage, seen: Iterable[str]) -> tuple[list[dict[str, Any]], set[str]]:
    """The stage's rows of sessions.parquet, their instants on the master's line, after the window's start; and the
    names of those `seen` that no stage has."""
    path = run.results.sessions_parquet
    if not path.exists():
        return [], set(seen)
    try:
        table = pq.read_table(path)
        rows: list[dict[str, Any]] = table.filter(pc.equal(table["stage"], stage.stage)).to_pylist()
        others = set(seen) - {row["session"] for row in rows}
        elsewhere = pc.is_in(table["session"], pa.array(others, table["session"].type))
        lost = others - set(table["session"].filter(elsewhere).to_pylist())
    except (OSError, KeyError, pa.ArrowException) as error:
        raise FmloadError(f"{path} cannot be read: {first_line(error)}",
                          hint="move it away: 'fmload report' makes it anew from journal/") from error
    for row in rows:
        worker = run.workers.get(row["worker"])
        shift = stage.window_start_ns + (worker.offset_ns if worker else 0)
        for name in ("begin_ns", "end_ns"):
            row[name] = np.nan if row[name] is None else row[name] - shift
    return rows, lost


def _summary(name: str, rows: list[dict[str, Any]], window: int) -> SessionSummary:
    inside = [row for row in rows if 0 <= row["end_ns"] < window]
    counts = Counter(row["outcome"] for row in inside)
    finished = [row for row in inside if row["outcome"] == "finished"]
    ended = sorted((row for row in inside if row["outcome"] != "cut"), key=lambda row: row["end_ns"])
    durations = session_duration(*_instants(finished))
    return SessionSummary(
        name, counts["finished"], counts["failed"], sum(row["outcome"] == "cut" for row in rows), np.sort(durations),
        float(np.mean([row["requests"] for row in finished])) if finished else None,
        _parts_s(finished),
        np.where([row["outcome"] == "finished" for row in ended], session_duration(*_instants(ended)), np.inf),
        _prefill_s(finished))


def _parts_s(finished: list[dict[str, Any]]) -> dict[str, float]:
    """Means of the parts of the critical path; none of a run whose fmload did not tell them."""
    if not finished or any(row.get(f"{part}_ns") is None for row in finished for part in PARTS):
        return {}
    return {part: float(np.mean([row[f"{part}_ns"] for row in finished])) / NS for part in PARTS}


def _prefill_s(finished: list[dict[str, Any]]) -> float | None:
    told = [row.get("path_prefill_ns") for row in finished]
    return float(np.mean(told)) / NS if told and None not in told else None  # type: ignore[arg-type]


def _instants(rows: list[dict[str, Any]]) -> tuple[Floats, Floats]:
    begun, ended = (np.array([row[name] for row in rows], dtype=np.float64) for name in ("begin_ns", "end_ns"))
    return begun, ended
