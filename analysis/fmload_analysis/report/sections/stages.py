"""One row a stage; and of many stages those that tell the most, for the answer page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fmload.model.stage import Stage
from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Callout, Cell, Column, Mark, Paragraph, Section, Table, literal
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import STAGES
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.figures import (
    Figure,
    figure_cell,
    figure_columns,
    known,
    objectives_cell,
    objectives_column,
)
from fmload_analysis.verdict.naming import STAGE_COLUMNS, lines, stage_cells
from fmload_analysis.verdict.table import StageResult, only_product, without_text

AUDIT_MARKS: dict[str, Mark] = {"PASS": "good", "WARN": "warn", "FAIL": "bad"}
FIGURES = (
    Figure("achieved_concurrency", "In flight", "mean", formats.significant, detail=True),
    Figure("transactions_per_minute", "Transactions", "1/min", formats.significant),
    Figure("requests_per_s", "Requests", "1/s", formats.significant, detail=True),
    Figure("input_tokens_mean", "Input", "tokens", formats.count, detail=True),
    Figure("output_tokens_mean", "Output", "tokens", formats.count, detail=True),
    Figure("input_tokens_per_s", "Input", "tokens/s", formats.significant, detail=True),
    Figure("output_tokens_per_s", "Output", "tokens/s", formats.significant),
    Figure("output_tokens_per_s_per_accelerator", "Output", "tokens/s per accelerator", formats.significant, True),
    Figure("inputs_mean", "Batch", "inputs", lambda value: f"{value:,.4g}"),
    Figure("inputs_per_s", "Inputs", "1/s", formats.significant),
    Figure("images_mean", "Images", "a request", lambda value: f"{value:,.4g}"),
    Figure("images_per_minute", "Images", "1/min", formats.significant),
    Figure("time_per_image_p50", "Image p50", "s", formats.seconds),
    Figure("ttfi_p50", "First image p50", "s", formats.seconds),
    Figure("images_in_mean", "Images in", "a prompt", lambda value: f"{value:,.4g}", detail=True),
    Figure("image_tokens_mean", "Image tokens", "a prompt", formats.count, detail=True),
    Figure("media_bytes_mean", "Media", "bytes a prompt", formats.count, detail=True),
    Figure("media_bytes_per_s", "Media", "bytes/s", formats.significant, detail=True),
    Figure("audio_mean", "Sound", "s", formats.significant),
    Figure("audio_per_s", "Sound", "s/s", formats.significant),
    Figure("characters_mean", "Text", "characters", formats.count, detail=True),
    Figure("characters_per_s", "Text", "characters/s", formats.significant),
    Figure("price_per_10k_transactions", "Per 10k", "USD", formats.usd),
    Figure("first_text_p50", "First text p50", "ms", formats.milliseconds),
    Figure("first_text_p95", "First text p95", "ms", formats.milliseconds),
    Figure("first_audio_p50", "First audio p50", "ms", formats.milliseconds),
    Figure("first_audio_p95", "First audio p95", "ms", formats.milliseconds),
    Figure("real_time_factor_p50", "RTF p50", "", formats.significant),
    Figure("real_time_factor_p95", "RTF p95", "", formats.significant, detail=True),
    Figure("stutter_share", "Stutter", "", formats.percent),
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
    Figure("price_per_1m_inputs", "1M inputs", "USD", formats.usd),
    Figure("price_per_1k_images", "1k images", "USD", formats.usd),
    Figure("price_per_audio_hour", "Hour of sound", "USD", formats.usd),
    Figure("price_per_1m_characters", "1M characters", "USD", formats.usd),
)
_OF_SOUND = ("audio_mean", "audio_per_s", "characters_mean", "characters_per_s", "first_text_p50", "first_text_p95",
             "first_audio_p50", "first_audio_p95", "real_time_factor_p50", "real_time_factor_p95", "stutter_share",
             "price_per_audio_hour", "price_per_1m_characters")
# Shown only where there are such requests.
_OF_OTHERS = ("inputs_mean", "inputs_per_s", "price_per_1m_inputs", "images_mean", "images_per_minute",
              "time_per_image_p50", "ttfi_p50", "price_per_1k_images", "images_in_mean", "image_tokens_mean",
              "media_bytes_mean", "media_bytes_per_s", *_OF_SOUND)
# Shown only where some answer came bit by bit, or no request succeeded at all.
_OF_STREAMS = ("ttft_p50", "ttft_p95", "tpot_p50", "itl_p99", "icl_p99")


def figures_of(results: Sequence[StageResult]) -> list[Figure]:
    """Those of inputs, images, media, sound and streams only where there are some; where no stage generates text, none
    that all stages lack."""
    bare, whole = without_text(results), any(result.value("e2e_p50") is not None for result in results)
    blank, there = (*_OF_OTHERS, *(_OF_STREAMS if whole else ())), known(FIGURES, results)
    return [figure for figure in FIGURES if figure in there or not (bare or figure.metric in blank)]


def render(analysis: Analysis) -> Section:
    """The table of all stages; every column of it, and more, is in summary.csv."""
    if not analysis.results:
        return Section("stages", "Stages", [
            Callout("warn", "No stage was measured", "The run ended before one began.")], STAGES)
    figures = figures_of(analysis.results)
    columns = [
        *STAGE_COLUMNS, Column("Objectives", numeric=False), Column("Audit", numeric=False),
        Column("Instance", numeric=False, detail=True), Column("Window", "s", detail=True),
        Column("Requests", "window", title="Requests that started inside the window, good and failed"),
        Column("Errors", title="Failed ÷ (failed + succeeded)"),
        *figure_columns(figures)]
    threshold = (analysis.run.spec.get("report") or {}).get("threshold_tokens_per_s")
    if threshold:
        columns.append(Column(f"Slower than {threshold:g}", "tokens/s", "Share of successful requests"))
    rows = [[*_row(result, figures), *([_slower(result)] if threshold else [])] for result in analysis.results]
    return Section("stages", "Stages", [Table(columns, rows, _CAPTION), *_superseded(analysis)], STAGES,
                   _gist(analysis))


def _gist(analysis: Analysis) -> str:
    made = only_product(analysis.results)
    what, name, unit = (made.noun, made.rate, made.per) if made else ("output", "output_tokens_per_s", "tokens/s")
    rated = [(rate, result) for result in analysis.results if (rate := result.value(name)) is not None]
    if not rated:
        return ""
    rate, most = max(rated, key=lambda pair: pair[0])
    return (f"The most {what}: {formats.significant(rate)} {unit}, of {most.endpoint} at "
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


def _row(result: StageResult, figures: Sequence[Figure]) -> list[Cell]:
    totals = result.totals
    error_rate = result.value("error_rate")
    return [
        *stage_cells(result), objectives_cell(result), audit_cell(result), name(result.instance_type),
        cell(totals.window_s, formats.seconds),
        cell(totals.succeeded + totals.failed, formats.count),
        cell(error_rate, formats.percent, "bad" if error_rate else None),
        *(figure_cell(result, figure) for figure in figures)]


def _slower(result: StageResult) -> Cell:
    slower, n = result.summary.slower_than_threshold, result.totals.succeeded
    return cell(slower / n if slower is not None and n else None, formats.percent, None, f"{slower} of {n}")


def audit_cell(result: StageResult) -> Cell:
    """The worst of the stage's checks, with the sentences of those that did not pass as its title."""
    sentences = [check.sentence for check in result.checks if check.result in ("WARN", "FAIL")]
    text = f"{result.audit}, client-bound" if result.client_bound else result.audit
    return Cell(text, text, AUDIT_MARKS[result.audit], literal(" ".join(sentences)).strip("`") or None)


# -- the figures of the answer page ------------------------------------------------------------------------------

MOST_ROWS = 12
_MORE = (Figure("itl_p50", "ITL p50", "ms", formats.milliseconds),
         Figure("itl_p95", "ITL p95", "ms", formats.milliseconds),
         Figure("tpot_p95", "TPOT p95", "ms", formats.milliseconds),
         Figure("error_rate", "Errors", "", formats.percent))
_BY_NAME = {figure.metric: figure for figure in (*FIGURES, *_MORE)}
_SHOWN = tuple(_BY_NAME[metric] for metric in (
    "ttft_p50", "ttft_p95", "itl_p50", "itl_p95", "tpot_p50", "tpot_p95", "e2e_p50", "e2e_p95", "output_tokens_per_s",
    "inputs_per_s", "images_per_minute", "time_per_image_p50", "ttfi_p50", "first_text_p50", "first_text_p95",
    "first_audio_p50", "first_audio_p95", "real_time_factor_p50", "stutter_share", "audio_per_s", "characters_per_s",
    "requests_per_s", "error_rate", "price_per_10k_transactions", "price_per_1m_inputs", "price_per_1k_images",
    "price_per_audio_hour", "price_per_1m_characters"))
_LESS = ("itl_p95", "tpot_p95", "requests_per_s")  # shown on request where the names take much room
_NAMES = STAGE_COLUMNS[1:]


def figure_table(analysis: Analysis) -> Table:
    """Names that are the same everywhere and figures that no stage has are left out."""
    chosen = selected(analysis)
    names = [place for place in range(3) if place == 2 or len({stage_cells(one)[place + 1].text for one in chosen}) > 1]
    crowded = len(names) == len(_NAMES)
    figures = [replace(figure, detail=crowded and figure.metric in _LESS) for figure in known(_shown(chosen), chosen)]
    judged = any(result.objectives for result in chosen)
    columns = [*(_NAMES[place] for place in names), *figure_columns(figures), *objectives_column(judged),
               Column("Audit", numeric=False)]
    rows = [[*(stage_cells(result)[place + 1] for place in names), *_cells(result, figures, judged)]
            for result in chosen]
    return Table(columns, rows, _caption(len(chosen), len(analysis.results)))


def _shown(chosen: Sequence[StageResult]) -> list[Figure]:
    """ITL, or TPOT where the gaps of a stage are not known."""
    left_out = "tpot_" if all(one.value("itl_p50") is not None for one in chosen) else "itl_"
    return [figure for figure in _SHOWN if not figure.metric.startswith(left_out)]


def _cells(result: StageResult, figures: Sequence[Figure], judged: bool) -> list[Cell]:
    return [*(figure_cell(result, figure) for figure in figures), *([objectives_cell(result)] if judged else []),
            audit_cell(result)]


def _caption(shown: int, of: int) -> str:
    few = "▲: fewer requests than that percentile needs; its bounds show on hover and in the tables below."
    if shown == of:
        return f"**The figures**, of each measurement window. {few}"
    return (f"**The figures** of {shown} of {of} stages: what is best, the lowest and the highest load. "
            f"[All stages](#stages). {few}")


def selected(analysis: Analysis, most: int = MOST_ROWS) -> list[StageResult]:
    """All stages where they are few; else the best, then the lowest and highest load of as many lines as there is
    room for, in the order of the run."""
    if len(analysis.results) <= most:
        return list(analysis.results)
    chosen = list(dict.fromkeys(result.stage for result in _ranked(analysis)))[:most]
    return [result for result in analysis.results if result.stage in chosen]


def _ranked(analysis: Analysis) -> Iterator[StageResult]:
    yield from (found.best for found in analysis.best if found.best)
    for line in lines(analysis):
        yield line.results[0]
        yield line.results[-1]
    for line in lines(analysis):
        yield line.results[len(line.results) // 2]
    yield from analysis.results
