"""What the terminal shows at the end of a run: the stages, what failed and why, and the recommendation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from fmload_analysis.document import formats
from fmload_analysis.report.report import title
from fmload_analysis.stage.failures import failures
from fmload_analysis.verdict.analysis import Analysis, emulated
from fmload_analysis.verdict.searches import searches
from fmload_analysis.verdict.table import StageResult

_COLORS = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}
FEW = "*"  # behind a percentile of too few samples
MOST_LINES = 3  # of failures, and of failed checks; the report has all


def headline(analysis: Analysis) -> RenderableType:
    """The stages as a table, and below it what failed, which checks did, and the recommendations."""
    notes = [Text(f"EMULATED: {endpoint} imitates {what}", style="yellow")
             for endpoint, what in emulated(analysis).items()]
    found = [Text(f"{one.endpoint} · {one.prompt_set}: {one.sentence}", style="bold")
             for one in searches(analysis.run.stages)]
    wrong = [Text(line, style="red") for line in (*_failed_requests(analysis), *_failed_checks(analysis))]
    open_ = [Text(line, style="yellow") for line in (*_few_samples(analysis), *_unknown_objectives(analysis))]
    return Group(StageTable(analysis), *notes, *wrong, *open_, *found,
                 *(Text(found.sentence) for found in analysis.best))


def _few_samples(analysis: Analysis) -> list[str]:
    """What the mark behind a percentile says, where one is shown."""
    few = any(result.value("e2e_p95") is not None and not result.is_known("e2e_p95") for result in analysis.results)
    return [f"{FEW} fewer samples than the percentile needs; the report has its bounds"] if few else []


def _unknown_objectives(analysis: Analysis) -> list[str]:
    """`objectives unknown at stage 0, ttft_p95: too few requests to tell; about 41 more …`."""
    return _most([f"objectives unknown at stage {result.stage}, {verdict.objective.name}: {verdict.reason}"
                  for result in analysis.results for verdict in result.verdicts if verdict.state == "unknown"])


def _failed_requests(analysis: Analysis) -> list[str]:
    """`80 requests of a failed (http_5xx): HTTP 503: overloaded`, most frequent first, warm-up and drain included."""
    if not any(result.totals.failed for result in analysis.results):
        return []
    return _most([f"{formats.several(one.count, 'request')} of {one.endpoint} failed ({one.outcome})"
                  f"{f': {_plain(one.message)}' if one.message else ''}" for one in failures(analysis.run)])


def _plain(message: str) -> str:
    """A server's words without line ends and without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in message)


def _failed_checks(analysis: Analysis) -> list[str]:
    """`audit FAIL at stages 0 and 2, enough requests: …`: each check once, in the words of its first stage."""
    failed: dict[str, list[tuple[int, str]]] = {}
    for result in analysis.results:
        for check in result.checks:
            if check.result == "FAIL":
                failed.setdefault(check.name, []).append((result.stage, check.sentence))
    return _most([f"audit FAIL at {_stages([stage for stage, _ in each])}, {name}: {each[0][1]}"
                  for name, each in failed.items()])


def _stages(numbers: list[int]) -> str:
    *others, last = [str(number) for number in dict.fromkeys(numbers)]
    return f"stages {', '.join(others)} and {last}" if others else f"stage {last}"


def _most(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"and {more} more, in the report"] if more > 0 else [])]


@dataclass(frozen=True, slots=True)
class StageTable:
    """The stages, with as many columns as the terminal holds; `_COLUMNS` says which go first."""

    analysis: Analysis

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for last in range(max(rank for rank, _ in _COLUMNS.values()), -1, -1):
            table = self._table([label for label, (rank, _) in _COLUMNS.items() if rank <= last])
            if console.measure(table, options=options.update(max_width=10_000)).maximum <= options.max_width:
                break
        yield table

    def _table(self, labels: list[str]) -> RichTable:
        table = RichTable(title=title(self.analysis), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                          padding=(0, 1), collapse_padding=True, pad_edge=False)
        for label in labels:
            table.add_column(label, justify="left" if label in ("endpoint", "prompts") else "right", no_wrap=True)
        best = {found.best.stage for found in self.analysis.best if found.best}
        for result in self.analysis.results:
            style = "bold" if result.stage in best else None
            table.add_row(*(_COLUMNS[label][1](result) for label in labels), style=style)
        return table


def _figure(name: str, form: formats.Format) -> Callable[[StageResult], RenderableType]:
    return lambda result: formats.text(result.value(name), form)


def _percentile(name: str, form: formats.Format) -> Callable[[StageResult], RenderableType]:
    """Marked where there are fewer samples than it needs."""
    return lambda result: formats.text(result.value(name), form) + (
        "" if result.value(name) is None or result.is_known(name) else FEW)


def _met(result: StageResult) -> RenderableType:
    return {"met": Text("met", "green"), "missed": Text("missed", "red"), "unknown": Text("unknown", "yellow"),
            None: Text("–")}[result.objectives]


# label: (rank: the higher, the sooner it is left out, its cell)
_COLUMNS: dict[str, tuple[int, Callable[[StageResult], RenderableType]]] = {
    "endpoint": (0, lambda result: result.endpoint),
    "prompts": (0, lambda result: result.prompt_set),
    "load": (0, lambda result: result.summary.stage.load_label),
    "requests": (5, lambda result: formats.count(result.totals.succeeded + result.totals.failed)),
    "errors": (2, _figure("error_rate", formats.percent)),
    "TTFT p50": (3, _figure("ttft_p50", formats.duration)),
    "TPOT p50": (6, _figure("tpot_p50", formats.duration)),
    "E2E p50": (1, _figure("e2e_p50", formats.duration)),
    "E2E p95": (4, _percentile("e2e_p95", formats.duration)),
    "tokens/s": (5, _figure("output_tokens_per_s", formats.significant)),
    "$/10k": (0, _figure("price_per_10k_transactions", formats.usd)),
    "$/1M out": (6, _figure("price_per_1m_output_tokens", formats.usd)),
    "objectives": (1, _met),
    "audit": (0, lambda result: Text(result.audit, _COLORS[result.audit])),
}
