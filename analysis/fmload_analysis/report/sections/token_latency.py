"""Latencies of requests and tokens: one table a metric with its percentiles and n, and the whole distributions."""

from __future__ import annotations

from collections.abc import Sequence

from fmload.metrics.definitions import METRICS, Metric
from fmload.statistics.intervals import percentile_floor
from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Block, Cell, Chart, Column, Paragraph, Point, Section, Series, Table
from fmload_analysis.document.formats import Format, cell
from fmload_analysis.document.plots import PALETTE
from fmload_analysis.document.questions import ONE_USER
from fmload_analysis.stage.distribution import CURVE, Distribution
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.figures import bounds
from fmload_analysis.verdict.naming import STAGE_COLUMNS, Line, lines, stage_cells
from fmload_analysis.verdict.table import StageResult, without_text

OF_SOUND = ("first_text", "first_audio")
SHOWN = ("ttft", "tpot", "itl", *OF_SOUND, "e2e")
OPEN_LOOP = ("ttft_scheduled", "e2e_scheduled")
ON_DEMAND = ("ttfa", "icl")  # only where they differ from TTFT and ITL
PERCENTILES = (50.0, 90.0, 95.0, 99.0)


def render(analysis: Analysis) -> Section | None:
    """TTFT, TPOT, ITL and E2E; in an open loop the scheduled ones before them."""
    measured = [result for result in analysis.results if any(
        result.summary.distributions[name].n for name in SHOWN if name in result.summary.distributions)]
    if not measured:
        return None
    open_loop = any(result.summary.stage.open_loop for result in measured)
    found, bare = lines(analysis), without_text(measured)
    gap = "itl" if any(result.summary.distributions["itl"].n for result in measured) else "icl"
    blocks: list[Block] = [_curves(METRICS[name], found) for name in (
        (*(each for each in OF_SOUND if _has_any(each, measured)), "e2e") if bare else ("ttft", gap, "e2e"))
        if _has_any(name, measured)]
    blocks.append(Paragraph(_FLOORS))
    blocks += _without_itl(measured)
    for name in (*(OPEN_LOOP if open_loop else ()), *SHOWN, *_differing(measured)):
        blocks += _metric(METRICS[name], measured) if _has_any(name, measured) else []
    return Section("token-latency", "Latencies" if bare else "Token latencies", blocks, ONE_USER,
                   _gist_of_others(found) if bare else _gist(found))


def _has_any(name: str, measured: Sequence[StageResult]) -> bool:
    return any(found.n for result in measured if (found := result.summary.distributions.get(name)) is not None)


_FLOORS = (
    "Percentiles are nearest rank over the requests that started inside the window and succeeded, pooled over all "
    "workers. One with fewer samples than it needs is marked, with its 95 % bounds by order statistics in brackets: "
    + ", ".join(f"p{p:g} {percentile_floor(p)}" for p in PERCENTILES if percentile_floor(p) > 1) + ".")


def _gist(found: Sequence[Line]) -> str:
    """The lowest load of each line: what one user waits for, and how fast the answer then comes."""
    told = []
    for line in found:
        lowest = line.results[0]
        ttft, tpot, e2e = (lowest.value(f"{name}_p50") for name in ("ttft", "tpot", "e2e"))
        if ttft is None:
            continue
        speed = f", {formats.significant(1 / tpot)} tokens/s" if tpot else ""
        whole = f", the whole answer {formats.duration(e2e)}" if e2e is not None else ""
        told.append(f"{line.name} at {lowest.summary.stage.load_label}: first token after "
                    f"{formats.duration(ttft)}{speed}{whole} (medians).")
    return formats.first(told)


def _gist_of_others(found: Sequence[Line]) -> str:
    """The lowest load of each line: how long one user waits for an answer, and of how many inputs or images."""
    told = []
    for line in found:
        lowest = line.results[0]
        e2e, made = lowest.value("e2e_p50"), lowest.product
        each = None if made is None else lowest.value(made.each)
        if e2e is not None and (lowest.transcribes or lowest.speaks):
            told.append(_gist_of_sound(line.name, lowest, e2e))
        elif e2e is not None and made is not None and each is not None:
            told.append(f"{line.name} at {lowest.summary.stage.load_label}: {each:,.4g} "
                        f"{made.one if each == 1 else made.noun} after {formats.duration(e2e)} (median).")
    return formats.first(told)


def _gist_of_sound(name: str, lowest: StageResult, e2e: float) -> str:
    first = lowest.value("first_audio_p50" if lowest.speaks else "first_text_p50")
    begun = "" if first is None else f"first {'audio' if lowest.speaks else 'text'} after {formats.duration(first)}, "
    sound = lowest.value("audio_mean")
    size = "" if sound is None else f" for {formats.significant(sound)} s of sound"
    return (f"{name} at {lowest.summary.stage.load_label}: {begun}all of it after {formats.duration(e2e)}{size} "
            "(medians).")


def _without_itl(measured: list[StageResult]) -> list[Block]:
    """Which stages have no ITL though they have gaps, and why."""
    blank = [str(result.stage) for result in measured
             if result.summary.distributions["icl"].mean is not None
             and result.summary.distributions["itl"].mean is None]
    if not blank:
        return []
    return [Paragraph(f"ITL is blank at stage {', '.join(blank)}: it is not known how many tokens each chunk holds. "
                      "ICL, the gap between chunks, stands in its place.")]


def _differing(measured: list[StageResult]) -> list[str]:
    """TTFA and ICL, where some stage tells them apart from TTFT and ITL."""
    pairs = {"ttfa": "ttft", "icl": "itl"}
    return [name for name in ON_DEMAND if any(
        result.value(f"{name}_mean") not in (None, result.value(f"{pairs[name]}_mean")) for result in measured)]


def _metric(metric: Metric, measured: list[StageResult]) -> list[Block]:
    form = formats.milliseconds if metric.display_unit == "ms" else formats.seconds
    unit = metric.display_unit
    columns = [
        *STAGE_COLUMNS, Column("n", title="Samples"), Column("mean", unit), Column("sd", unit, detail=True),
        Column("min", unit, detail=True), *(Column(f"p{p:g}", unit) for p in PERCENTILES),
        Column("p95 interval", unit, "95 % confidence, order statistics", detail=True),
        Column("p95 with failures", unit, "A failure counts as infinitely slow", detail=True), Column("max", unit)]
    rows = [[*stage_cells(result), *_cells(result.summary.distributions[metric.name], form)] for result in measured
            if metric.name in result.summary.distributions]
    return [Table(columns, rows, f"**{metric.title}** ({unit}): {metric.definition}")]


def _cells(found: Distribution, form: Format) -> list[Cell]:
    percentiles = [_percentile(found, p, form) for p in PERCENTILES]
    return [cell(found.n, formats.count), cell(found.mean, form), cell(found.stddev, form), cell(found.minimum, form),
            *percentiles, _interval(found, form), cell((found.with_failures or {}).get(95.0), form),
            cell(found.maximum, form)]


def _percentile(found: Distribution, p: float, form: Format) -> Cell:
    value = found.percentiles.get(p)
    if value is None:
        return Cell(formats.ABSENT, None, None, "most gaps are interval-censored" if found.n else None)
    if p in found.below_floor:
        interval = found.intervals.get(p)
        told = interval is not None and (interval.low is not None or interval.high is not None)
        return Cell(f"{form(value)} ({bounds(interval, form)})" if interval and told else form(value), value, "warn",
                    f"only {found.n} samples; p{p:g} needs {percentile_floor(p)}")
    return cell(value, form, None, _bounds(found, p, form))


def _bounds(found: Distribution, p: float, form: Format) -> str | None:
    """Where the percentile lies when the gaps known only as intervals are counted, too."""
    low, high = (found.low or {}).get(p), (found.high or {}).get(p)
    return None if low is None or high is None else f"{form(low)} to {form(high)} with what came in late reads"


def _interval(found: Distribution, form: Format) -> Cell:
    interval = found.intervals.get(95.0)
    if interval is None:
        return Cell(formats.ABSENT)
    return Cell(bounds(interval, form), interval.low, None, interval.method)


def _curves(metric: Metric, found: list[Line]) -> Chart:
    scale = metric.display_scale
    series = [
        Series(result.summary.stage.load_label, _points(result.summary.distributions[metric.name], scale), place,
               panel=line.name, bare=True)
        for line in found for place, result in enumerate(_spread(line.results))
        if metric.name in result.summary.distributions]
    return Chart(f"{metric.name}_distribution", f"{metric.title}: share of requests at or below"
                 if metric.level == "request" else f"{metric.title}: share of tokens at or below", "xy",
                 Axis(metric.title, metric.display_unit, log=True), Axis("Share", "%"),
                 [each for each in series if each.points])


def _spread(results: Sequence[StageResult]) -> Sequence[StageResult]:
    """At most a palette of them, the lowest and the highest load among them."""
    if len(results) <= len(PALETTE):
        return results
    step = (len(results) - 1) / (len(PALETTE) - 1)
    return [results[round(place * step)] for place in range(len(PALETTE))]


def _points(found: Distribution, scale: float) -> list[Point]:
    return [Point(value * scale, p) for p, value in zip(CURVE, found.curve, strict=False) if value > 0]
