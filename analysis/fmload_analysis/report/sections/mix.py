"""Mixes: what ran beside each other, each component and the whole."""

from __future__ import annotations

from collections.abc import Sequence

from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Paragraph, Section, Table
from fmload_analysis.document.formats import cell
from fmload_analysis.document.questions import STAGES
from fmload_analysis.stage.mixes import arrived, per_million, whole
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

_COLUMNS = (*STAGE_COLUMNS, Column("Share", "asked / sent"), Column("Sent", "window", detail=True),
            Column("Errors"), Column("Done", "1/s"), Column("Output", "tokens/s"), Column("E2E p50", "s", detail=True),
            Column("Price", "USD/h"), Column("1M output", "USD"))


def render(analysis: Analysis) -> Section | None:
    """A row a component, and one for each mix as a whole. None without a mix."""
    mixes: dict[int, list[StageResult]] = {}
    for result in analysis.results:
        if result.summary.stage.mix is not None:
            mixes.setdefault(result.summary.stage.mix.first, []).append(result)
    if not mixes:
        return None
    rows = [row for results in mixes.values() for row in (*_components(results), _whole(results))]
    return Section("mix", "Mix", [Paragraph(_EXPLAINED), Table(_COLUMNS, rows)], STAGES)


_EXPLAINED = (
    "The components of a mix run at the same time, and each is a stage of its own above. Components that share an "
    "endpoint share its price by the hour, by the time that their requests were in flight; the sum holds it once. "
    "Shares are of requests; of whole sessions, where a component has those.")


def _components(results: Sequence[StageResult]) -> list[list[Cell]]:
    all_arrived = sum(arrived(result.summary) for result in results)
    return [[*stage_cells(result), _share(result, all_arrived),
             cell(result.totals.started, formats.count), cell(result.value("error_rate"), formats.percent),
             cell(result.value("requests_per_s"), formats.significant),
             cell(result.value("output_tokens_per_s"), formats.significant),
             cell(result.value("e2e_p50"), formats.seconds), cell(result.totals.usd_per_hour, formats.usd),
             cell(result.value("price_per_1m_output_tokens"), formats.usd)] for result in results]


def _share(result: StageResult, all_arrived: int) -> Cell:
    asked = result.summary.stage.mix.share if result.summary.stage.mix else None
    sent = cell(arrived(result.summary) / all_arrived if all_arrived else None, formats.percent)
    return Cell(f"{cell(asked, formats.percent).text} / {sent.text}", asked)


def _whole(results: Sequence[StageResult]) -> list[Cell]:
    totals = [result.totals for result in results]
    failed, answered = sum(one.failed for one in totals), sum(one.failed + one.succeeded for one in totals)
    per_s, tokens_per_s = (sum(result.value(name) or 0.0 for result in results)
                           for name in ("requests_per_s", "output_tokens_per_s"))
    usd_per_hour = whole([one.usd_per_hour for one in totals])
    return [Cell(""), Cell("the whole mix"), Cell(""), Cell(""), Cell(""),
            cell(sum(one.started for one in totals), formats.count),
            cell(failed / answered if answered else None, formats.percent), cell(per_s, formats.significant),
            cell(tokens_per_s, formats.significant), Cell(formats.ABSENT), cell(usd_per_hour, formats.usd),
            cell(per_million(usd_per_hour, tokens_per_s), formats.usd)]
