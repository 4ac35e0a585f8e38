"""Runs of transcription and of speech: their figures by hand, and a report without a word of tokens and gaps."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from handmade import pages, request, stage, write
from rich.console import Console

from fmload.config.objectives import broken, parse_objectives
from fmload.model.record import Record
from fmload.results.folder import Results
from fmload_analysis.document.document import Chart, Table
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.report import render
from fmload_analysis.report.sections import sound
from fmload_analysis.report.terminal import headline
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.table import summary_row, write_csv

MS = 1_000_000


def sounded(name: str, send_ms: float, length_ms: float, first_ms: float | None, **columns: Any) -> Record:
    record = request(name, send_ms, end_ms=send_ms + length_ms, finish_reason=None, tokens_source=None,
                     input_tokens=None, prompt_tokens=None, **columns)
    assert record.send_ns is not None
    if record.outcome == "ok":
        record.last_token_ns = record.end_ns
        record.first_output_ns = None if first_ms is None else record.send_ns + round(first_ms * MS)
    return record


def written(root: Path, records: list[Record], price: dict[str, Any], **spec: Any) -> Results:
    stages = [stage(level, start_ns=1_000_000_000_000) for level in sorted({record.stage for record in records})]
    return write(root, stages, records, spec={"endpoints": [{"name": "a", "price": price}],
                                              "prompts": [{"name": "p", "source": "tones", "seconds": "5s"}], **spec})


def analysed(results: Results) -> Analysis:
    return analyse_run(open_run(results.root))


def transcribed(root: Path, price: dict[str, Any] | None = None, **columns: Any) -> Analysis:
    """One user, one after another for a second: 5 s of sound in 100 ms, the first text after 40."""
    records = [sounded(f"r{i}", i * 100, 100, 40, audio_in_s=5.0, characters=60, **columns) for i in range(10)]
    return analysed(written(root, records, price or {"hourly": 3.6}))


def spoken(root: Path, price: dict[str, Any] | None = None, **columns: Any) -> Analysis:
    """Likewise: 40 characters are 2 s of sound; every other answer stands still for 30 ms."""
    records = [sounded(f"r{i}", i * 100, 100, 20, **{
        "audio_out_s": 2.0, "characters": 40, "stalls": i % 2, "stalled_ns": i % 2 * 30 * MS, **columns})
        for i in range(10)]
    return analysed(written(root, records, price or {"hourly": 3.6}))


def test_sound_a_second_is_that_of_the_answers_in_the_window(tmp_path: Path) -> None:
    [result] = transcribed(tmp_path / "r").results
    assert result.transcribes and not result.speaks
    assert result.value("audio_per_s") == 45  # the last of ten ends at the window's end
    assert result.value("characters_per_s") == 9 * 60
    assert result.value("first_text_p50") == pytest.approx(0.04) and result.value("first_audio_p50") is None
    assert result.value("real_time_factor_p50") == pytest.approx(0.02) and result.value("audio_mean") == 5
    # 3.6 USD an hour are 0.08 an hour of sound, at 45 s a second
    assert result.value("price_per_audio_hour") == pytest.approx(0.08)
    assert result.value("price_per_audio_minute") == pytest.approx(0.08 / 60)
    assert result.value("price_per_1m_characters") is result.value("stutter_share") is None


def test_speech_is_counted_in_characters_and_in_answers_that_stutter(tmp_path: Path) -> None:
    [result] = spoken(tmp_path / "r").results
    assert result.speaks and not result.transcribes
    assert (result.value("audio_per_s"), result.value("characters_per_s")) == (18, 360)
    assert result.value("stutter_share") == pytest.approx(4 / 9)
    assert (result.value("stalls_mean"), result.value("stalled_max")) == (0.5, pytest.approx(0.03))
    assert result.value("first_audio_p50") == pytest.approx(0.02) and result.value("first_text_p50") is None
    assert result.value("price_per_1m_characters") == pytest.approx(0.001 / 360 * 1e6)
    assert result.value("price_per_audio_hour") == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["ttft_p50", "tpot_p50", "itl_p50", "output_tokens_per_s", "output_tokens_mean",
                                  "price_per_1m_output_tokens", "inputs_per_s"])
def test_what_only_text_and_vectors_have_is_not_known(tmp_path: Path, name: str) -> None:
    assert transcribed(tmp_path / "t").results[0].value(name) is spoken(tmp_path / "s").results[0].value(name) is None


def test_minutes_and_characters_have_prices_of_their_own(tmp_path: Path) -> None:
    [heard] = transcribed(tmp_path / "t", {"per_audio_minute": 0.006}).results
    assert heard.value("price_per_audio_hour") == pytest.approx(0.36)
    assert heard.cost.stage_usd == pytest.approx(10 * 5 / 60 * 0.006)  # the one that ended outside is paid for, too
    [said] = spoken(tmp_path / "s", {"per_1m_characters": 15}).results
    assert said.value("price_per_1m_characters") == pytest.approx(15)
    assert said.value("price_per_transaction") == pytest.approx(40 * 15 / 1e6)


@pytest.mark.parametrize("price", [{"per_audio_minute": 0.006}, {"input_per_1m": 3, "output_per_1m": 5}])
def test_transcripts_have_no_price_of_output_tokens_however_they_are_paid_for(tmp_path: Path,
                                                                              price: dict[str, float]) -> None:
    [result] = transcribed(tmp_path / "r", price, output_tokens=12).results
    assert result.value("price_per_1m_output_tokens") is None
    assert result.value("price_per_transaction") is not None


def test_a_transcript_is_not_billed_by_the_character(tmp_path: Path) -> None:
    [result] = transcribed(tmp_path / "r", {"per_1m_characters": 15, "per_audio_minute": 0}).results
    assert result.cost.stage_usd == 0


def test_sound_of_unknown_length_has_no_rate_and_no_price_by_the_hour(tmp_path: Path) -> None:
    [result] = spoken(tmp_path / "r", audio_out_s=None, stalls=None, stalled_ns=None).results
    for name in ("audio_per_s", "price_per_audio_hour", "stutter_share", "real_time_factor_p50", "audio_mean"):
        assert result.value(name) is None, name
    assert result.value("price_per_1m_characters") is not None


def test_sound_of_which_some_is_unknown_has_no_rate_of_the_rest(tmp_path: Path) -> None:
    records = [sounded(f"r{i}", i * 100, 100, 20, characters=40, audio_out_s=2.0 if i else None) for i in range(10)]
    [result] = analysed(written(tmp_path / "r", records, {"hourly": 3.6})).results
    assert result.value("audio_per_s") is None and result.value("price_per_audio_hour") is None


def test_minutes_that_nobody_knows_are_not_free(tmp_path: Path) -> None:
    [result] = spoken(tmp_path / "r", {"per_audio_minute": 0.015}, audio_out_s=None).results
    for name in ("price_per_transaction", "price_per_audio_hour", "price_per_1m_characters"):
        assert result.value(name) is None, name
    assert result.cost.stage_usd is None


def test_a_failed_request_counts_nothing_of_its_sound(tmp_path: Path) -> None:
    records = [sounded(f"r{i}", i * 100, 100, 40, audio_in_s=5.0, characters=60, outcome="ok" if i else "decode")
               for i in range(10)]
    [result] = analysed(written(tmp_path / "r", records, {"hourly": 3.6})).results
    assert result.value("audio_per_s") == 8 * 5 and result.value("error_rate") == 0.1
    lost = [sounded(f"r{i}", i * 100, 100, None, audio_in_s=5.0, outcome="http_5xx") for i in range(10)]
    [none] = analysed(written(tmp_path / "n", lost, {"hourly": 3.6})).results
    assert none.transcribes and none.value("audio_per_s") == 0 and none.value("price_per_audio_hour") is None


def told(analysis: Analysis) -> str:
    """The report, its glossary and what it says of the audit left out."""
    render(analysis)
    text = pages(analysis.run.results).split("Glossary")[0]
    return "\n".join(line for line in text.splitlines() if "audit" not in line.lower() and "Time | TTFT" not in line)


def screen(analysis: Analysis) -> str:
    file = io.StringIO()
    Console(file=file, width=240).print(headline(analysis))
    return file.getvalue()


def test_the_terminal_shows_sound_and_no_tokens(tmp_path: Path) -> None:
    heard, said = screen(transcribed(tmp_path / "t")), screen(spoken(tmp_path / "s"))
    assert "first text p50" in heard and "audio s/s" in heard and "$/h audio" in heard
    assert "first audio p50" in said and "stutter" in said and "$/1M chars" in said
    for word in ("TTFT", "ITL", "TPOT", "tokens", "$/1M out", "inputs"):
        assert word not in heard and word not in said, word


@pytest.mark.parametrize(("make", "word"), [(transcribed, "First text"), (spoken, "First audio")])
def test_the_report_has_its_section_and_no_column_of_tokens(tmp_path: Path, make: Any, word: str) -> None:
    analysis = make(tmp_path / "r")
    text = told(analysis)
    assert "Sound, by stage" in text and word in text
    for gone in ("TTFT", "TPOT", "ITL", "ICL", "Output (tokens", "1M output", "tokens out"):
        assert gone not in text, gone
    found = sound.render(analysis)
    assert found is not None and "s of sound a second" in found.gist
    [chart] = [block for block in found.blocks if isinstance(block, Chart)]
    assert [len(series.points) for series in chart.series] == [1]
    [table] = [block for block in found.blocks if isinstance(block, Table)]
    assert all(any(row[place].value is not None or row[place].text for row in table.rows)
               for place in range(len(table.columns)))


def test_a_run_of_text_has_no_section_on_sound(tmp_path: Path) -> None:
    analysis = analysed(write(tmp_path / "r", [stage()], [request("r", 0, [50, 90])]))
    assert sound.render(analysis) is None and "audio s/s" not in screen(analysis)


def test_made_up_sound_is_told_where_it_was_heard(tmp_path: Path) -> None:
    assert "made up and holds no speech" in told(transcribed(tmp_path / "t"))
    assert "made up" not in told(spoken(tmp_path / "s"))


def test_columns_of_sound_are_in_the_summary_and_blank_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "summary.csv"
    write_csv(path, [summary_row(result) for result in spoken(tmp_path / "r").results])
    [row] = csv.DictReader(path.open())
    assert float(row["stutter_share"]) == pytest.approx(4 / 9) and float(row["first_audio_p50_s"]) == 0.02
    assert row["ttft_p50_s"] == row["first_text_p50_s"] == row["output_tokens_per_s"] == ""


def test_sound_can_be_an_objective() -> None:
    given = {"first_audio_p95": "300ms", "first_text_p50": "1s", "real_time_factor_p95": 0.5, "stutter_share": "1%",
             "audio_per_s": 40, "price_per_audio_hour": 0.1, "price_per_1m_characters": 15, "stalled_p99": "50ms"}
    assert not list(broken(given))
    bounds = {one.name: one.bound for one in parse_objectives(given)}
    assert bounds.pop("audio_per_s") == "at least" and set(bounds.values()) == {"at most"}
    assert [wrong for _, wrong in broken({"first_audio_p95": 300})] != []
