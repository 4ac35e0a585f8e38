"""Images, sound and video in prompts: what was sent, what the server counted of it, and the time to the first token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fmload.metrics.definitions import METRICS
from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Block, Chart, Paragraph, Point, Section, Table
from fmload_analysis.document.questions import ONE_USER
from fmload_analysis.report.sections.load_latency import limits
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.figures import Figure, figure_cell, figure_columns, known
from fmload_analysis.verdict.naming import STAGE_COLUMNS, as_series, lines, stage_cells
from fmload_analysis.verdict.table import StageResult

_COUNTED = (
    "Tokens of images, sound and video are those that the server tells; no tokenizer here can count them, and where "
    "the server tells no input tokens at all, none are shown. The bytes are those of the files, which are sent as "
    "base64, a third longer, and were all made before the load.")
_MOST_POINTS = 3_000
_SHOWN = (
    Figure("images_in_mean", "Images", "a prompt", lambda value: f"{value:,.4g}"),
    Figure("images_in_per_s", "Images", "1/s", formats.significant),
    Figure("media_duration_mean", "Sound, video", "s a prompt", formats.seconds),
    Figure("media_bytes_mean", "Media", "bytes a prompt", formats.count),
    Figure("media_bytes_per_s", "Media", "bytes/s", formats.significant),
    Figure("input_tokens_mean", "Input", "tokens", formats.count),
    Figure("image_tokens_mean", "of images", "tokens", formats.count),
    Figure("audio_tokens_mean", "of sound", "tokens", formats.count),
    Figure("video_tokens_mean", "of video", "tokens", formats.count),
    Figure("ttft_p50", "TTFT p50", "ms", formats.milliseconds), Figure("ttft_p95", "TTFT p95", "ms",
                                                                       formats.milliseconds),
    Figure("e2e_p50", "E2E p50", "s", formats.seconds))
_AGAINST = (("images_in", "Images in the prompt", 1.0, "images"), ("media_bytes", "Media of the prompt", 1e-6, "MB"))


def render(analysis: Analysis) -> Section | None:
    """None where all prompts were text alone."""
    found = [result for result in analysis.results if result.value("media_bytes_mean") is not None]
    if not found:
        return None
    figures = known(_SHOWN, found)
    columns = [*STAGE_COLUMNS, *figure_columns(figures)]
    rows = [[*stage_cells(result), *(figure_cell(result, figure) for figure in figures)] for result in found]
    charts = [chart for each in _AGAINST if (chart := _chart(analysis, *each)).series]
    blocks: list[Block] = [Paragraph(_COUNTED), *charts, Table(columns, rows, "**What was sent beside the text**")]
    return Section("media", "Images, sound and video in prompts", blocks, ONE_USER, _gist(found))


def _gist(found: Sequence[StageResult]) -> str:
    told = []
    for result in found:
        images, ttft = result.value("images_in_mean"), result.value("ttft_p50")
        if images and ttft is not None:
            told.append(f"{result.endpoint} with {result.prompt_set} at {result.summary.stage.load_label}: "
                        f"{images:,.3g} {'image' if images == 1 else 'images'} a prompt, first token after "
                        f"{formats.duration(ttft)} (median).")
    return formats.first(told)


def _chart(analysis: Analysis, metric: str, title: str, scale: float, unit: str) -> Chart:
    """A point a request, drawn evenly from each stage; nothing where all prompts have the same."""
    ttft = METRICS["ttft"]
    found = lines(analysis)
    results = [(line, result) for line in found for result in line.results]
    each = max(20, _MOST_POINTS // max(1, len(results)))
    series = [as_series(line, found, _points(result, metric, scale, each), joined=False,
                        panel=result.summary.stage.load_label) for line, result in results]
    kept = [one for one in series if one.points]
    differing = len({point.x for one in kept for point in one.points}) > 1
    return Chart(f"ttft_by_{metric}", f"TTFT against {title[0].lower()}{title[1:]}, by load", "xy", Axis(title, unit),
                 Axis(ttft.title, ttft.display_unit), kept if differing else [], limits(analysis, ttft,
                                                                                        ttft.display_scale))


def _points(result: StageResult, metric: str, scale: float, most: int) -> list[Point]:
    sample = result.summary.sample
    sizes, values = sample.metrics[metric], sample.metrics["ttft"]
    kept = np.flatnonzero(sample.succeeded & ~np.isnan(sizes) & ~np.isnan(values))
    picked = kept[np.unique(np.linspace(0, len(kept) - 1, min(len(kept), most)).astype(int))] if len(kept) else kept
    return [Point(float(sizes[row]) * scale, round(float(values[row]) * 1e3, 4)) for row in picked]
