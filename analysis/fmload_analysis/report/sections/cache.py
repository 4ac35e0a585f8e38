"""Prefix caches: possible, told and billed shares side by side, by stage and by turn, and what they save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Callout, Cell, Column, Paragraph, Section, Table
from fmload_analysis.document.formats import cell
from fmload_analysis.document.questions import STAGES
from fmload_analysis.stage.cache_truth import CacheShare, CacheTruth
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

_FIGURES = (Column("Requests"), Column("Input", "tokens"), Column("Possible"), Column("Told"), Column("Billed"),
            Column("Written", "tokens"), Column("For 1 h", "tokens", detail=True), Column("Cost", "USD"),
            Column("Without a cache", "USD"))
_RULE = (
    "Of the input tokens of requests that ended well in the window. **Possible** is what a cache without limits would "
    "have found: whole blocks of 16 tokens with which an earlier request to the same server began (by the texts of "
    "prepared prompts, and by the server's own counts of the turn before where answers were served). **Told** is what "
    "the server says came from its cache, **billed** what was paid at the price of cached input. Less told than "
    "possible is a cache that was full, cold, or spread over replicas; more told than possible is a server that keeps "
    "its own answers, too, or was asked by others, or before this run.")
_SAME_REQUESTS = "What was possible is to be laid beside what was told of the same requests."
_NO_PRICE_OF_1H = (
    "Some tokens were written for an hour, and no price for that is known (`cache_write_1h_per_1m`): they are counted "
    "at the price of other writes, which is lower where a service asks more for an hour.")


def render(analysis: Analysis) -> Section | None:
    """None where no stage had anything to do with a cache."""
    found = [(result, result.summary.cache) for result in analysis.results if result.summary.cache is not None]
    if not found:
        return None
    blocks: list[Block] = [Paragraph(_RULE), Table([*STAGE_COLUMNS, *_FIGURES], [
        [*stage_cells(result), *_cells(truth.whole)] for result, truth in found if truth], "**By stage**"),
        *_notes(found)]
    turns = [[*stage_cells(result), Cell(str((one.turn or 0) + 1), one.turn), *_cells(one)]
             for result, truth in found if truth for one in truth.turns]
    if turns:
        blocks.append(Table([*STAGE_COLUMNS, Column("Turn"), *_FIGURES], turns, "**By turn** of its session"))
    return Section("cache", "Prefix cache", blocks, STAGES)


def _notes(found: Sequence[tuple[StageResult, CacheTruth | None]]) -> Iterator[Block]:
    """What is to be known of the table by stage."""
    if partly := [_partly(result, truth.whole) for result, truth in found
                  if truth and 0 < truth.whole.known < truth.whole.requests]:
        yield Paragraph(" ".join([_SAME_REQUESTS, *partly]))
    if any(truth and truth.whole.written_1h and result.pricing and result.pricing.by_token
           and result.pricing.cache_write_1h_per_1m is None for result, truth in found):
        yield Callout("warn", "Writes for an hour", _NO_PRICE_OF_1H)


def _partly(result: StageResult, one: CacheShare) -> str:
    """Of a stage of which it is known of some requests alone what was possible."""
    told = "nothing" if one.told_of_known is None else formats.percent(one.told_of_known)
    return (f"Of stage {result.stage} it is known of {one.known} of {one.requests} requests: "
            f"{formats.percent(one.possible or 0)} of their input was possible, {told} told.")


def _cells(one: CacheShare) -> list[Cell]:
    partly = None if one.told_by == one.requests else f"told of {one.told_by} of {one.requests} requests"
    return [
        cell(one.requests, formats.count), cell(one.input_tokens, formats.count),
        cell(one.possible, formats.percent, None, None if one.known == one.requests else (
            f"known of {one.known} of {one.requests} requests")),
        cell(one.told, formats.percent, None, partly), cell(one.billed, formats.percent, None, partly),
        cell(one.written, formats.count), cell(one.written_1h, formats.count), cell(one.usd, formats.usd),
        cell(one.usd_without, formats.usd)]
