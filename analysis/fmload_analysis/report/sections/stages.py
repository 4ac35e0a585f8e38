"""One row a stage: what was asked, what came of it, at what price, and whether the numbers hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmload.model.stage import Stage
from fmload.statistics.intervals import Interval
from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Callout, Cell, Column, Mark, Paragraph, Section, Table, literal
from fmload_analysis.document.formats import Format, cell, name
from fmload_analysis.document.questions import STAGES
from fmload_analysis.report.sections.missed import STATE_MARKS
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

AUDIT_MARKS: dict[str, Mark] = {"PASS": "good", "WARN": "warn", "FAIL": "bad"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A column made of one metric: its name in `StageResult.value`, and how it is shown."""

    metric: str
    label: str
    unit: str
    form: Format
    detail: bool = False


FIGURES = (
    Figure("achieved_concurrency", "In flight", "mean", formats.significant, detail=True),
    Figure("transactions_per_minute", "Transactions", "1/min", formats.significant),
    Figure("requests_per_s", "Requests", "1/s", formats.significant, detail=True),
    Figure("input_tokens_mean", "Input", "tokens", formats.count, detail=True),
    Figure("output_tokens_mean", "Output", "tokens", formats.count, detail=True),
    Figure("input_tokens_per_s", "Input", "tokens/s", formats.significant, detail=True),
    Figure("output_tokens_per_s", "Output", "tokens/s", formats.significant),
    Figure("output_tokens_per_s_per_accelerator", "Output", "tokens/s per accelerator", formats.significant, True),
    Figure("price_per_10k_transactions", "Per 10k", "USD", formats.usd),
    Figure("ttft_p50", "TTFT p50", "ms", formats.milliseconds),
    Figure("ttft_p95", "TTFT p95", "ms", formats.milliseconds, detail=True),
    Figure("tpot_p50", "TPOT p50", "ms", formats.milliseconds),
    Figure("itl_p99", "ITL p99", "ms", formats.milliseconds, detail=True),
    Figure("icl_p99", "ICL p99", "ms", formats.milliseconds, detail=True),
    Figure("e2e_mean", "E2E mean", "s", formats.seconds, detail=True),
    Figure("e2e_p50", "E2E p50", "s", formats.seconds),
    Figure("e2e_p95", "E2E p95", "s", formats.seconds),
    Figure("e2e_p99", "E2E p99", "s", formats.seconds, detail=True),
    Figure("goodput_per_s", "Goodput", "1/s", formats.significant, detail=True),
    Figure("cached_share", "Cached input", "", formats.percent, detail=True),
    Figure("price_per_transaction", "Per transaction", "USD", formats.usd, detail=True),
    Figure("price_per_token", "Per token", "USD", formats.usd, detail=True),
    Figure("price_per_1m_output_tokens", "1M output", "USD", formats.usd),
)


def render(analysis: Analysis) -> Section:
    """The table of all stages; every column of it, and more, is in summary.csv."""
    if not analysis.results:
        return Section("stages", "Stages", [
            Callout("warn", "No stage was measured", "The run ended before one began.")], STAGES)
    columns = [
        *STAGE_COLUMNS, Column("Objectives", numeric=False), Column("Audit", numeric=False),
        Column("Instance", numeric=False, detail=True), Column("Window", "s", detail=True),
        Column("Requests", "window", title="Requests that started inside the window, good and failed"),
        Column("Errors", title="Failed ÷ (failed + succeeded)"),
        *(Column(figure.label, figure.unit, figure.metric, detail=figure.detail) for figure in FIGURES)]
    threshold = (analysis.run.spec.get("report") or {}).get("threshold_tokens_per_s")
    if threshold:
        columns.append(Column(f"Slower than {threshold:g}", "tokens/s", "Share of successful requests"))
    rows = [[*_row(result), *([_slower(result)] if threshold else [])] for result in analysis.results]
    return Section("stages", "Stages", [Table(columns, rows, _CAPTION), *_superseded(analysis)], STAGES,
                   _gist(analysis))


def _gist(analysis: Analysis) -> str:
    rated = [(rate, result) for result in analysis.results
             if (rate := result.value("output_tokens_per_s")) is not None]
    if not rated:
        return ""
    rate, most = max(rated, key=lambda pair: pair[0])
    return (f"The most output: {formats.significant(rate)} tokens/s, of {most.endpoint} at "
            f"{most.summary.stage.load_label}.")


def _superseded(analysis: Analysis) -> list[Block]:
    """Told once, and in no figure: what was broken off and taken again."""
    told = [f"stage {stage.stage} by stage {_successor(stage, analysis.run.stages)}"
            for stage in analysis.run.stages if stage.status == "superseded"]
    if not told:
        return []
    return [Paragraph(f"Broken off, and superseded when the run was resumed: {', '.join(told)}. The requests of a "
                      "superseded stage are in records/ and in no figure of this report.")]


def _successor(stage: Stage, stages: Sequence[Stage]) -> int:
    return next((other.stage for other in stages if other.stage > stage.stage and other.line == stage.line),
                stage.stage)


_CAPTION = ("**Every stage in its measurement window.** `n/a`: not measured; ▲: fewer samples than that percentile "
            "needs, its bounds are below; `summary.csv` holds these and all other columns.")


def _row(result: StageResult) -> list[Cell]:
    totals = result.totals
    error_rate = result.value("error_rate")
    return [
        *stage_cells(result), objectives_cell(result), audit_cell(result), name(result.instance_type),
        cell(totals.window_s, formats.seconds),
        cell(totals.succeeded + totals.failed, formats.count),
        cell(error_rate, formats.percent, "bad" if error_rate else None),
        *(figure_cell(result, figure) for figure in FIGURES)]


def figure_cell(result: StageResult, figure: Figure) -> Cell:
    """The value, with its confidence interval as the cell's title where there is one."""
    interval = result.summary.intervals.get(figure.metric) or _order_statistics(result, figure.metric)
    title = None
    if interval is not None and (interval.low is not None or interval.high is not None):
        title = f"{interval.confidence:.0%} interval {bounds(interval, figure.form)}: {interval.method}"
    few = result.value(figure.metric) is not None and not result.is_known(figure.metric)
    return cell(result.value(figure.metric), figure.form, "warn" if few else None, title)


def _order_statistics(result: StageResult, name: str) -> Interval | None:
    metric, _, stat = name.rpartition("_")
    found = result.summary.distributions.get(metric)
    return found.intervals.get(float(stat[1:])) if found and stat.startswith("p") else None


def bounds(interval: Interval, form: Format) -> str:
    """`640 to 910`; `…` for an end that the samples do not reach."""
    return " to ".join("…" if end is None else form(end) for end in (interval.low, interval.high))


def _slower(result: StageResult) -> Cell:
    slower, n = result.summary.slower_than_threshold, result.totals.succeeded
    return cell(slower / n if slower is not None and n else None, formats.percent, None, f"{slower} of {n}")


def objectives_cell(result: StageResult) -> Cell:
    """Met, missed, unknown, or none were given; those that are not met are its title."""
    state = result.objectives
    if state is None:
        return Cell("none")
    others = [f"{verdict.objective.name} {verdict.state}" for verdict in result.verdicts if not verdict.met]
    return Cell(state, state, STATE_MARKS[state], ", ".join(others) or None)


def audit_cell(result: StageResult) -> Cell:
    """The worst of the stage's checks, with the sentences of those that did not pass as its title."""
    sentences = [check.sentence for check in result.checks if check.result in ("WARN", "FAIL")]
    text = f"{result.audit}, client-bound" if result.client_bound else result.audit
    return Cell(text, text, AUDIT_MARKS[result.audit], literal(" ".join(sentences)).strip("`") or None)
