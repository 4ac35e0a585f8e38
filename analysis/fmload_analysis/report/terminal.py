"""What the terminal shows at the end of a run: the stages, what failed and why, and the recommendation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from fmload.base.blocks import in_blocks
from fmload.base.redaction import printable
from fmload_analysis.document import formats
from fmload_analysis.report.report import title
from fmload_analysis.stage.failures import failures
from fmload_analysis.verdict.analysis import Analysis, emulated
from fmload_analysis.verdict.searches import searches
from fmload_analysis.verdict.table import StageResult, without_text

_COLORS = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}
MOST_LINES = 3  # of failures, and of failed checks; the report has all
NONE = "–"  # a cell of a stage that has no such figure


def headline(analysis: Analysis) -> RenderableType:
    """The stages as a table, and below it what failed, which checks did, and the recommendations."""
    notes = [_text(f"EMULATED: {endpoint} imitates {what}", "yellow")
             for endpoint, what in emulated(analysis).items()]
    found = [_text(f"{one.endpoint} · {one.prompt_set}: {one.sentence}", "bold")
             for one in searches(analysis.run.stages)]
    wrong = [_text(line, "red") for line in (*_failed_requests(analysis), *_failed_checks(analysis))]
    open_ = [_text(line, "yellow") for line in (*_few_samples(analysis), *_unknown_objectives(analysis))]
    return Group(StageTable(analysis), *notes, *wrong, *open_, *found, *map(_text, _recommendations(analysis)))


def _text(words: str, style: str = "") -> Text:
    """Words that hold names from outside: no markup of the terminal's, and no control character."""
    return Text(printable(words), style)


def _recommendations(analysis: Analysis) -> list[str]:
    """None where there is nothing to choose by: neither objectives nor a price."""
    chosen = any(result.verdicts or result.pricing for result in analysis.results)
    return [found.sentence for found in analysis.best if chosen or found.best is None]


def _few_samples(analysis: Analysis) -> list[str]:
    """What bounds in the table say, where any are shown."""
    few = any(_is_few(result, metric, stat) for result in analysis.results
              for metric in _METRICS.values() for stat in ("p50", "p95"))
    return ["≥, ≤ or a range: too few requests for the percentile, which lies there (95 % confidence)"] if few else []


def _unknown_objectives(analysis: Analysis) -> list[str]:
    """`objectives unknown at stage 0, ttft_p95: too few requests to tell; about 41 more …`."""
    return _most([f"objectives unknown at stage {result.stage}, {verdict.objective.name}: {verdict.reason}"
                  for result in analysis.results for verdict in result.verdicts if verdict.state == "unknown"])


def _failed_requests(analysis: Analysis) -> list[str]:
    """`80 requests of a failed (http_5xx): HTTP 503: overloaded`, most frequent first, warm-up and drain included."""
    if not any(result.totals.failed for result in analysis.results):
        return []
    return _most([f"{formats.several(one.count, 'request')} of {one.endpoint} failed ({one.outcome})"
                  f"{f': {_plain(one.message)}' if one.message else ''}" for one in failures(analysis.run)],
                 "warm-up and drain included")


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


def _most(lines: list[str], what: str = "") -> list[str]:
    """The first lines and how many more there are; `what` they count stands behind the last."""
    more = len(lines) - MOST_LINES
    told = [*lines[:MOST_LINES], *([f"and {more} more, in the report"] if more > 0 else [])]
    return [*told[:-1], f"{told[-1]} ({what})"] if told and what else told


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of every stage. One that no stage has is left out."""

    label: str
    cell: Callable[[StageResult], RenderableType]

    def has_figures(self, results: Sequence[StageResult]) -> bool:
        """Whether a stage has anything to show here."""
        return any(str(self.cell(result)) != NONE for result in results)


@dataclass(frozen=True, slots=True)
class StageTable:
    """The stages: one table where the terminal is wide enough for all columns, else a second block below it, and so on;
    every block begins with what tells the stages apart. No column and no figure is cut."""

    analysis: Analysis

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names, figures = self._columns()
        yield from in_blocks(figures, lambda block, first: self._table([*names, *block], first), console, options)

    def _columns(self) -> tuple[list[Column], list[Column]]:
        """What tells the stages apart, and their figures. Names that are the same everywhere stand in the title."""
        results = self.analysis.results
        names = [column for column in _NAMES if column is _NAMES[-1] or len({column.cell(one) for one in results}) > 1]
        return names, [column for column in _figures(results) if column.has_figures(results)]

    def _table(self, columns: list[Column], first: bool) -> RichTable:
        table = RichTable(title=Text(self._title()) if first else None, title_justify="left", title_style="bold",
                          box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
        for column in columns:
            left = column in _NAMES[:-1]
            table.add_column(column.label, justify="left" if left else "right", no_wrap=not left, overflow="fold")
        best = {found.best.stage for found in self.analysis.best if found.best}
        for result in self.analysis.results:
            cells = (column.cell(result) for column in columns)
            table.add_row(*(_text(cell) if isinstance(cell, str) else cell for cell in cells),
                          style="bold" if result.stage in best else None)
        return table

    def _title(self) -> str:
        results = self.analysis.results
        same = [str(column.cell(results[0])) for column in _NAMES[:-1]
                if results and len({column.cell(one) for one in results}) == 1]
        return printable(" · ".join(dict.fromkeys([title(self.analysis), *same])))


def _figure(name: str, form: formats.Format) -> Callable[[StageResult], RenderableType]:
    return lambda result: NONE if result.value(name) is None else formats.text(result.value(name), form)


def _is_few(result: StageResult, metric: str, stat: str) -> bool:
    """Whether a percentile is shown by its bounds: there are too few samples for it."""
    found = result.summary.distributions.get(metric)
    return found is not None and found.stat(stat) is not None and not found.is_known(stat)


def _percentile(metric: str, stat: str) -> Callable[[StageResult], RenderableType]:
    """The percentile; its bounds where there are too few samples for it."""
    def cell(result: StageResult) -> RenderableType:
        value = result.value(f"{metric}_{stat}")
        if value is None:
            return NONE
        if not _is_few(result, metric, stat):
            return formats.duration(value)
        bounds = result.summary.distributions[metric].intervals.get(float(stat[1:]))
        return between(bounds.low, bounds.high) if bounds else f"{formats.duration(value)} ?"
    return cell


def between(low_s: float | None, high_s: float | None) -> str:
    """`18–24 ms`, `0.9–1.2 s`; `≥ 18 ms` and `≤ 24 ms` where there is one bound, `?` where there is none."""
    if low_s is None or high_s is None:
        bound = f"≥ {formats.duration(low_s)}" if low_s is not None else ""
        return bound or (f"≤ {formats.duration(high_s)}" if high_s is not None else "?")
    low, high = formats.duration(low_s), formats.duration(high_s)
    number, _, unit = low.partition(" ")
    return high if low == high else f"{number}–{high}" if high.endswith(f" {unit}") else f"{low}–{high}"


def _met(result: StageResult) -> RenderableType:
    style = {"met": "green", "missed": "red", "unknown": "yellow"}
    return NONE if result.objectives is None else Text(result.objectives, style[result.objectives])


_NAMES = (Column("endpoint", lambda result: result.endpoint), Column("prompts", lambda result: result.prompt_set),
          Column("load", lambda result: result.load))
_METRICS = {"TTFT": "ttft", "ITL": "itl", "TPOT": "tpot", "first text": "first_text", "first audio": "first_audio",
            "E2E": "e2e"}


def _figures(results: Sequence[StageResult]) -> list[Column]:
    """What a stage is asked for first, in that order; ITL, or TPOT where the gaps of a stage are not known."""
    known = any(result.value("itl_p50") is not None for result in results)
    left_out = "TPOT" if known else "ITL"
    latencies = [Column(f"{label} {stat}", _percentile(metric, stat)) for label, metric in _METRICS.items()
                 if label != left_out for stat in ("p50", "p95")]
    return [
        *latencies, Column("tokens/s", _figure("output_tokens_per_s", formats.significant)),
        Column("inputs/s", _figure("inputs_per_s", formats.significant)),
        Column("images/min", _figure("images_per_minute", formats.significant)),
        Column("s/image p50", _percentile("time_per_image", "p50")),
        Column("first image p50", _percentile("ttfi", "p50")),
        Column("images in/s", _figure("images_in_per_s", formats.significant)),
        *([Column("tokens in/s", _figure("input_tokens_per_s", formats.significant))]
          if without_text(results) and not any(one.transcribes or one.speaks for one in results) else []),
        Column("audio s/s", _figure("audio_per_s", formats.significant)),
        Column("RTF p50", _figure("real_time_factor_p50", formats.significant)),
        Column("stutter", _figure("stutter_share", formats.percent)),
        Column("chars/s", _figure("characters_per_s", formats.significant)),
        Column("requests/s", _figure("requests_per_s", formats.significant)),
        Column("requests", lambda result: formats.count(result.totals.succeeded + result.totals.failed)),
        Column("errors", _figure("error_rate", formats.percent)),
        Column("$/10k", _figure("price_per_10k_transactions", formats.usd)),
        Column("$/1M out", _figure("price_per_1m_output_tokens", formats.usd)),
        Column("$/1M inputs", _figure("price_per_1m_inputs", formats.usd)),
        Column("$/1k images", _figure("price_per_1k_images", formats.usd)),
        Column("$/h audio", _figure("price_per_audio_hour", formats.usd)),
        Column("$/1M chars", _figure("price_per_1m_characters", formats.usd)), Column("objectives", _met),
        Column("audit", lambda result: Text(result.audit, _COLORS.get(result.audit, "")))]
