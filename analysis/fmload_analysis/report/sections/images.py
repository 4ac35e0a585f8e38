"""Images made: how many a minute and how long one takes, by images a request and load."""

from __future__ import annotations

from collections.abc import Sequence

from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Paragraph, Section
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import ONE_USER
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.capacity import best_by, within_objectives
from fmload_analysis.verdict.figures import Figure, stage_table
from fmload_analysis.verdict.products import IMAGES
from fmload_analysis.verdict.table import StageResult

_EXPLAINED = (
    "An answer counts when it holds as many images as were asked for, whole and of the size asked for; of any other "
    "none does. What the images show is not looked at, and those that come by their address are not fetched.")
_NAMES = (Column("Endpoint", numeric=False), Column("Prompts", numeric=False), Column("Images", "a request"),
          Column("Load", numeric=False))
_SHOWN = (
    Figure("images_per_minute", "Images", "1/min", formats.significant),
    Figure("time_per_image_p50", "An image p50", "s", formats.seconds),
    Figure("time_per_image_p95", "An image p95", "s", formats.seconds),
    Figure("ttfi_p50", "First image p50", "s", formats.seconds),
    Figure("ttfi_p95", "First image p95", "s", formats.seconds),
    Figure("e2e_p50", "E2E p50", "s", formats.seconds), Figure("e2e_p95", "E2E p95", "s", formats.seconds),
    Figure("output_tokens_mean", "Output", "tokens told", formats.count),
    Figure("price_per_1k_images", "1k images", "USD", formats.usd))


def render(analysis: Analysis) -> Section | None:
    """None where no images were made."""
    found = [result for result in analysis.results if result.product is IMAGES]
    if not found:
        return None
    table = stage_table(found, _SHOWN, "**Images, by load**", _NAMES, _named)
    return Section("images", "Images made", [Paragraph(_EXPLAINED), table], ONE_USER, _gist(found))


def _named(result: StageResult) -> list[Cell]:
    return [name(result.endpoint), name(result.prompt_set),
            cell(result.value("images_mean"), lambda value: f"{value:,.4g}"), name(result.summary.stage.load_label)]


def _gist(found: Sequence[StageResult]) -> str:
    """The most images a minute within the objectives, and how long one takes then."""
    return formats.first([
        f"{endpoint}: the most{within_objectives(best)} are "
        f"{formats.significant(best.value('images_per_minute') or 0.0)} images a minute, at "
        f"{best.summary.stage.load_label}, one in {formats.duration(best.value('time_per_image_p50') or 0.0)} (median)."
        for endpoint, best in best_by("images_per_minute", found).items() if best])
