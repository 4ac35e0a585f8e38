"""Sound: how much of it a second, how soon the first sign of an answer, and whether playback would stand still."""

from __future__ import annotations

from collections.abc import Sequence

from fmload.metrics.definitions import METRICS
from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Block, Chart, Paragraph, Point, Section
from fmload_analysis.document.questions import SOUND
from fmload_analysis.report.sections.load_latency import limits
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.capacity import best_by, within_objectives
from fmload_analysis.verdict.figures import Figure, stage_table
from fmload_analysis.verdict.naming import as_series, lines, stage_name
from fmload_analysis.verdict.table import StageResult

_HEARD = (
    "A real-time factor of 0.1 is a tenth of the sound's own length. Sound a second is over all users together: what "
    "one deployment works off. Time to first text is that of streamed transcripts.")
_SPOKEN = (
    "A real-time factor below 1 makes sound faster than it plays. An answer would stutter where what had come was "
    "played before more came, had playback begun with the first 100 ms of sound; people hear that, whatever the mean "
    "is. Where the format does not tell how long bytes play, stutter and real-time factor are not known.")
_MADE_UP = "The sound is made up and holds no speech: how many words a model writes of it says nothing."
_SHOWN = (
    Figure("audio_mean", "Sound of a request", "s", formats.significant),
    Figure("characters_mean", "Text", "characters", formats.count),
    Figure("first_text_p50", "First text p50", "ms", formats.milliseconds),
    Figure("first_text_p95", "First text p95", "ms", formats.milliseconds),
    Figure("first_audio_p50", "First audio p50", "ms", formats.milliseconds),
    Figure("first_audio_p95", "First audio p95", "ms", formats.milliseconds),
    Figure("first_audio_p99", "First audio p99", "ms", formats.milliseconds),
    Figure("e2e_p50", "E2E p50", "s", formats.seconds), Figure("e2e_p95", "E2E p95", "s", formats.seconds),
    Figure("real_time_factor_p50", "RTF p50", "", formats.significant),
    Figure("real_time_factor_p95", "RTF p95", "", formats.significant),
    Figure("stutter_share", "Would stutter", "", formats.percent),
    Figure("stalls_mean", "Stalls", "a request", formats.significant),
    Figure("stalled_p99", "Still p99", "ms", formats.milliseconds),
    Figure("audio_per_s", "Sound", "s/s", formats.significant),
    Figure("characters_per_s", "Text", "characters/s", formats.significant),
    Figure("price_per_audio_hour", "Hour of sound", "USD", formats.usd),
    Figure("price_per_audio_minute", "Minute", "USD", formats.usd),
    Figure("price_per_1m_characters", "1M characters", "USD", formats.usd))


def render(analysis: Analysis) -> Section | None:
    """None where no request had to do with sound."""
    found = [result for result in analysis.results if result.transcribes or result.speaks]
    if not found:
        return None
    chart = _chart(found, analysis)
    made_up = any(result.transcribes and result.summary.prompt_source == "tones" for result in found)
    blocks: list[Block] = [
        *([Paragraph(_HEARD)] if any(result.transcribes for result in found) else []),
        *([Paragraph(_SPOKEN)] if any(result.speaks for result in found) else []),
        *([Paragraph(_MADE_UP)] if made_up else []), *([chart] if chart.series else []),
        stage_table(found, _SHOWN, "**Sound, by stage**")]
    return Section("sound", "Sound", blocks, SOUND, _gist(found))


def _gist(found: Sequence[StageResult]) -> str:
    """The stage with the most sound a second within the objectives, and what it costs in waiting."""
    return formats.first([
        f"{endpoint} at {best.summary.stage.load_label}: {formats.significant(best.value('audio_per_s') or 0.0)} s of "
        f"sound a second{within_objectives(best)}{_waiting(best)}." if best else
        f"{endpoint}: no stage met the objectives with sound whose length is known."
        for endpoint, best in best_by("audio_per_s", found).items()])


def _first(result: StageResult) -> str:
    """The metric of the first sign of an answer."""
    return "first_audio" if result.speaks else "first_text"


def _waiting(best: StageResult) -> str:
    name = _first(best)
    stat = "p95" if best.is_known(f"{name}_p95") else "p50"
    first, stutter = best.value(f"{name}_{stat}"), best.value("stutter_share")
    begun = "" if first is None else f", the first {'audio' if best.speaks else 'text'} after " \
        f"{formats.duration(first)} ({stat})"
    return begun + ("" if stutter is None else f", {formats.percent(stutter)} would stutter")


def _chart(found: Sequence[StageResult], analysis: Analysis) -> Chart:
    """Sound a second against the wait: a line each endpoint and prompt set, over its loads. The wait is that for the
    first sign of an answer where every stage has one, else for all of it."""
    first = {_first(result) for result in found}
    name = next(iter(first))
    known = len(first) == 1 and all(result.value(f"{name}_p50") is not None for result in found)
    metric = METRICS[name if known else "e2e"]
    kept, drawn = {id(result) for result in found}, lines(analysis)
    series = [as_series(line, drawn, [
        Point(rate, latency, tip=stage_name(result)) for result in line.results if id(result) in kept
        and (rate := result.value("audio_per_s")) is not None
        and (latency := result.value(f"{metric.name}_p50")) is not None]) for line in drawn]
    return Chart("sound_latency", "Sound a second against the wait", "xy", Axis("Sound", "s/s"),
                 Axis(f"{metric.title} p50", "s"), [each for each in series if each.points],
                 limits(analysis, metric, 1.0))
