"""Scenarios and conversations: requests by what they were called, turns, and sessions as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fmload.metrics.definitions import METRICS
from fmload_analysis.document import formats
from fmload_analysis.document.document import (
    Axis,
    Block,
    Cell,
    Chart,
    Column,
    Paragraph,
    Point,
    Section,
    Series,
    Table,
    literal,
)
from fmload_analysis.document.formats import cell, name
from fmload_analysis.report.sections.load_latency import against_load
from fmload_analysis.stage.sessions import PARTS, SessionSummary
from fmload_analysis.stage.tasks import TaskSummary
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, Line, kinds, lines, stage_cells, stage_name
from fmload_analysis.verdict.table import StageResult

_FIGURES = (Column("Requests"), Column("Errors"), Column("TTFT p50", "ms"), Column("TTFT p95", "ms"),
            Column("TPOT p50", "ms"), Column("E2E p50", "s"), Column("E2E p95", "s"),
            Column("Input", "tokens"), Column("Output", "tokens"))
_SESSIONS = (Column("Session", numeric=False), Column("Finished"), Column("Failed"), Column("Cut"),
             Column("Finished", "share"), Column("Finished", "1/min"), Column("Duration p50", "s"),
             Column("Duration p95", "s"), Column("Requests", "each"),
             Column("Waiting", title="for first tokens: queue and prefill"),
             Column("Prefill", title="of the waiting, as the server tells it", detail=True),
             Column("Decoding"), Column("In tools"), Column("Thinking"), Column("Client"), Column("Price", "USD"))
_TOLD_PARTS = (("waiting", "waiting for the first token"), ("decoding", "decoding"), ("tools", "tools before it"),
               ("thinking", "thinking before it"))
_PATH_PARTS = (("path_waiting", "waiting for first tokens"), ("path_decoding", "decoding"), ("path_tools", "tools"),
               ("path_thinking", "thinking"))
_MOST_PANELS = 6

_ANSWERS = {"served": "what the server really said before", "recorded": "the answers of the data set",
            "made_up": "answers that were made up before the load"}


def render(analysis: Analysis) -> Section | None:
    """None where no request has a name and no session is there."""
    blocks = [*_sessions(analysis), *_charts(analysis), *_tasks(analysis), *_turns(analysis), *_contexts(analysis)]
    return Section("sessions", "Tasks and sessions", blocks) if blocks else None


def _tasks(analysis: Analysis) -> Iterator[Block]:
    rows = [[*stage_cells(result), name(one.name), name(one.user), *_figures(one)]
            for result in analysis.results for one in result.summary.tasks]
    if rows:
        columns = [*STAGE_COLUMNS, Column("Task", numeric=False), Column("User", numeric=False), *_FIGURES]
        yield Table(columns, rows, "**Requests by task**, of requests that started inside the window")


def _turns(analysis: Analysis) -> Iterator[Block]:
    rows = [[*stage_cells(result), _turn(one), *_figures(one)]
            for result in analysis.results for one in result.summary.turns]
    if rows:
        yield Table([*STAGE_COLUMNS, Column("Turn"), *_FIGURES], rows,
                    "**Requests by turn** of their session, with the mean length of the context")


def _turn(one: TaskSummary) -> Cell:
    return name(one.name) if one.turn is None else cell(one.turn + 1, formats.whole)


def _figures(one: TaskSummary) -> list[Cell]:
    return [cell(one.requests, formats.count), cell(one.error_rate, formats.percent, "bad" if one.failed else None),
            cell(one.ttft.stat("p50"), formats.milliseconds), cell(one.ttft.stat("p95"), formats.milliseconds),
            cell(one.tpot.stat("p50"), formats.milliseconds), cell(one.e2e.stat("p50"), formats.seconds),
            cell(one.e2e.stat("p95"), formats.seconds), cell(one.input_tokens, formats.significant),
            cell(one.output_tokens, formats.significant)]


def _sessions(analysis: Analysis) -> Iterator[Block]:
    found = [result for result in analysis.results if result.summary.sessions is not None]
    if not found:
        return
    rows = [row for result in found for row in _rows(result)]
    yield Paragraph(
        "A session is a sequence of requests that depend on each other. It is finished when it came to its end and "
        "lost no request; one that the end of its stage cut is neither finished nor failed. Its duration is from the "
        "first send to the last token. Where it went is told along the critical path: what each step waited for last, "
        "back from the last token. What is left is the client's own time.")
    for answers, told in _ANSWERS.items():
        if sets := sorted({one.prompt_set for one in found if analysis.run.answers(one.prompt_set) == answers}):
            yield Paragraph(f"Later turns of {', '.join(map(literal, sets))} carry {told} (`answers: {answers}`).")
    yield Table([*STAGE_COLUMNS, *_SESSIONS], rows, "**Sessions** that ended inside the window")
    by_context = [[*stage_cells(result), name(one.name), *_session(result, one, None)] for result in found
                  for one in (result.summary.sessions.by_context if result.summary.sessions else ())]
    if by_context:
        yield Table([*STAGE_COLUMNS, Column("Longest context", "tokens", numeric=False), *_SESSIONS[1:-1]],
                    [row[:-1] for row in by_context], "**Sessions by the longest prompt** that was sent in them")
    if lost := sum(result.summary.sessions.lost for result in found if result.summary.sessions):
        yield Paragraph(f"Of {formats.several(lost, 'session')} the requests are there and the end is not: a worker "
                        "was lost.")


def _rows(result: StageResult) -> Iterator[list[Cell]]:
    sessions = result.summary.sessions
    if sessions is None:
        return
    several = len(sessions.by_name) > 1
    for one in sessions.by_name:
        yield [*stage_cells(result), name(one.name), *_session(result, one, None if several else _price(result))]
    if several:
        yield [*stage_cells(result), name("all"), *_session(result, sessions.whole, _price(result))]


def _price(result: StageResult) -> float | None:
    return result.value("price_per_finished_session")


def _session(result: StageResult, one: SessionSummary, usd: float | None) -> list[Cell]:
    window_s = result.totals.window_s
    percentiles = [_percentile(one, p) for p in (50, 95)]
    return [cell(one.finished, formats.count), cell(one.failed, formats.count, "bad" if one.failed else None),
            cell(one.cut, formats.count), cell(one.finished_share, formats.percent),
            cell(60 * one.finished / window_s if window_s else None, formats.significant),
            *(cell(value, formats.seconds) for value in percentiles), cell(one.requests_mean, formats.significant),
            *_shares(one), cell(usd, formats.usd)]


def _percentile(one: SessionSummary, percent: int) -> float | None:
    """Nearest rank."""
    n = len(one.durations_s)
    return float(one.durations_s[-(-percent * n // 100) - 1]) if n else None


def _shares(one: SessionSummary) -> list[Cell]:
    """Shares of the mean duration; what is left is the client's own time, and of the way to the server and back."""
    if not one.mean_s or not one.parts_s:
        return [cell(None, formats.percent)] * (len(PARTS) + 2)
    waiting, *others = (one.parts_s[part] / one.mean_s for part in PARTS)
    prefill = None if one.prefill_s is None else one.prefill_s / one.mean_s
    left = max(0.0, 1 - waiting - sum(others))
    return [cell(share, formats.percent) for share in (waiting, prefill, *others, left)]


def _contexts(analysis: Analysis) -> Iterator[Block]:
    rows = [[*stage_cells(result), name(one.name), *_figures(one)]
            for result in analysis.results for one in result.summary.contexts]
    if rows:
        yield Table([*STAGE_COLUMNS, Column("Context", "tokens", numeric=False), *_FIGURES], rows,
                    "**Requests by the length of their context**, of those in sessions")


def _charts(analysis: Analysis) -> Iterator[Block]:
    """Duration over load, and where it goes by load and by turn."""
    found = lines(analysis)
    for kind in kinds(found):
        chart = against_load(METRICS["session_duration"], kind, found, analysis)
        if any(len(series.points) > 1 for series in chart.series):
            yield chart
    if (chart := _by_load(found)).series:
        yield chart
    if (chart := _by_turn(found)).series:
        yield chart


def _by_load(found: Sequence[Line]) -> Chart:
    """A bar a stage, as long as a session took on average."""
    results = [result for line in found for result in line.results
               if (sessions := result.summary.sessions) is not None and sessions.whole.parts_s]
    labels = [result.summary.stage.load_label for result in results]
    if len(set(labels)) < len(labels):
        labels = [stage_name(result) for result in results]
    series = [Series(told, [Point(place, _seconds(result, part), tip=stage_name(result))
                            for place, result in enumerate(results)], color)
              for color, (part, told) in enumerate((*_PATH_PARTS, ("client", "the client's own time")))]
    return Chart("session_parts_by_load", "Where the time of a session goes, by load", "bar",
                 Axis("Load", categories=labels), Axis("Mean duration", "s"),
                 [one for one in series if any(point.y for point in one.points)] if results else [])


def _seconds(result: StageResult, part: str) -> float:
    sessions = result.summary.sessions
    if sessions is None or sessions.whole.mean_s is None:
        return 0.0
    parts = sessions.whole.parts_s
    return round(parts[part] if part in parts else max(0.0, sessions.whole.mean_s - sum(parts.values())), 6)


def _by_turn(found: Sequence[Line]) -> Chart:
    """A bar a turn, in small charts of the highest loads."""
    shown = [line.results[-1] for line in found if line.results and line.results[-1].summary.turns][:_MOST_PANELS]
    turns = max((len(result.summary.turns) for result in shown), default=0)
    series = [Series(told, [Point(place, round(one.parts_s[part], 6))
                            for place, one in enumerate(result.summary.turns) if one.parts_s], color,
                     panel=stage_name(result) if len(shown) > 1 else "")
              for result in shown for color, (part, told) in enumerate(_TOLD_PARTS)]
    return Chart("session_parts_by_turn", "Where the time goes, by turn, at the highest load", "bar",
                 Axis("Turn", categories=[str(turn + 1) for turn in range(turns)]), Axis("Mean", "s"),
                 [one for one in series if any(point.y for point in one.points)])
