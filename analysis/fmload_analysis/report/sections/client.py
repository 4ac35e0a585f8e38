"""The load generator's own health: whether what was measured is the endpoint's doing or the client's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Block, Cell, Chart, Column, Paragraph, Point, Section, Series, Table
from fmload_analysis.document.formats import Format, cell, name
from fmload_analysis.document.questions import BELIEVE
from fmload_analysis.run import Run
from fmload_analysis.verdict.analysis import Analysis

MOST_POINTS = 600  # of a worker's line
LONGEST_NAME = 24

_WORKER_COLUMNS = (
    Column("Worker", numeric=False), Column("Host", numeric=False),
    Column("Stamps", "", "Who stamps arrivals", numeric=False),
    Column("Reader", "", "Who receives: a thread of its own (native), or the event loop (python)", numeric=False),
    Column("CPU mean"), Column("CPU max"), Column("Loop lag p99", "ms", "Median over the seconds of the run"),
    Column("Loop lag max", "ms"), Column("Stamp lag p99", "ms", "User-space stamp after the kernel's: the client's own "
                                                                "delay, largest second"),
    Column("Send lateness p99", "ms", "Largest second"), Column("In flight", "max"), Column("Memory", "MiB max"),
    Column("Clock", "± ms", "Uncertainty of the clock offset to the master"), Column("Lost", numeric=False))


def render(analysis: Analysis) -> Section | None:
    """A row a worker, and the event loop's lag and the CPU over time. None when no worker reported."""
    run = analysis.run
    by_worker = _by_worker(run)
    if not by_worker:
        return None
    blocks: list[Block] = [Paragraph(_INTRODUCTION), Table(_WORKER_COLUMNS, [
        _row(worker, lines, run) for worker, lines in by_worker.items()])]
    start = min((line["at_ns"] for line in run.health), default=0)
    named = {_label(worker, run): lines for worker, lines in by_worker.items()}
    blocks += [
        _chart("loop_lag", "Event-loop lag of the workers", Axis("Loop lag p99", "ms"), named, start,
               "loop_lag_p99_ns", 1e-6),
        _chart("cpu", "CPU of the workers", Axis("CPU", "% of one core"), named, start, "cpu_fraction", 100)]
    return Section("client", "Client health", [each for each in blocks if not isinstance(each, Chart) or each.series],
                   BELIEVE)


_INTRODUCTION = (
    "A busy client measures itself. Lags far below the latencies above, and a CPU well below 100 % of its core, mean "
    "that these are the endpoint's. Kernel stamps do not move when the loop is late; user-space stamps do.")


def _by_worker(run: Run) -> dict[str, list[Mapping[str, Any]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = defaultdict(list, {worker: [] for worker in run.workers})
    for line in run.health:
        grouped[str(line.get("worker"))].append(line)
    return dict(grouped)


def _label(worker: str, run: Run) -> str:
    """The worker's name; host and number in place of a long one."""
    known = run.workers.get(worker)
    return f"{known.host} {known.index}" if known and known.host and len(worker) > LONGEST_NAME else worker


def _row(worker: str, lines: Sequence[Mapping[str, Any]], run: Run) -> list[Cell]:
    known = run.workers.get(worker)
    uncertainty = known.clock_uncertainty_ns if known else None
    lag = sorted(_values(lines, "loop_lag_p99_ns"))
    return [
        Cell(_label(worker, run), worker, None, worker), name(known.host if known else None),
        name(known.stamp if known else None), name(known.reader if known else None),
        cell(_mean(_values(lines, "cpu_fraction")), formats.percent), _largest(lines, "cpu_fraction", formats.percent),
        cell(lag[len(lag) // 2] if lag else None, _ms), _largest(lines, "loop_lag_max_ns", _ms),
        _largest(lines, "stamp_lag_p99_ns", _ms), _largest(lines, "send_late_p99_ns", _ms),
        _largest(lines, "in_flight", formats.count), _largest(lines, "rss_bytes", _mib), cell(uncertainty, _ms),
        Cell("lost", "lost", "bad") if known and known.lost_ns else Cell("")]


def _ms(value_ns: float) -> str:
    return formats.significant(value_ns / 1e6)


def _mib(value_bytes: float) -> str:
    return formats.count(value_bytes / 2**20)


def _values(lines: Iterable[Mapping[str, Any]], key: str) -> list[float]:
    return [float(line[key]) for line in lines if line.get(key) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _largest(lines: Sequence[Mapping[str, Any]], key: str, form: Format) -> Cell:
    return cell(max(_values(lines, key), default=None), form)


def _chart(file_name: str, title: str, y: Axis, by_worker: Mapping[str, Sequence[Mapping[str, Any]]], start_ns: int,
           key: str, scale: float) -> Chart:
    series = []
    for place, (worker, lines) in enumerate(by_worker.items()):
        stride = -(-len(lines) // MOST_POINTS) if lines else 1
        points = [Point(round((line["at_ns"] - start_ns) / 1e9, 1), float(line[key]) * scale)
                  for line in lines[::stride] if line.get(key) is not None]
        series.append(Series(worker, points, place, place, bare=True))
    return Chart(file_name, title, "xy", Axis("Time since the first report", "s"), y,
                 [each for each in series if each.points])
