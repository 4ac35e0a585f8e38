"""A run of images, and one of prompts with media: figures by hand, and what the report shows of each."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from handmade import pages, request, stage, write
from rich.console import Console

from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.report import render
from fmload_analysis.report.terminal import headline
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.products import IMAGES


def painted(name: str, send_ms: float, length_ms: float, images: int, first_ms: float | None = None,
            **columns: Any) -> Record:
    record = request(name, send_ms, end_ms=send_ms + length_ms, streamed=first_ms is not None, finish_reason=None,
                     tokens_source=None, output_tokens=None, images=images, **columns)
    if record.outcome == "ok":
        record.last_token_ns = record.end_ns
    if first_ms is not None and record.send_ns is not None:
        record.first_output_ns = record.send_ns + round(first_ms * 1e6)
    return record


def analysed(root: Path, records: list[Record], price: dict[str, Any] | None = None, **spec: Any) -> Analysis:
    results = write(root, [stage(0)], records, spec={"endpoints": [{"name": "a", "price": price or {"hourly": 36}}],
                                                     **spec})
    return analyse_run(open_run(results.root))


def told(analysis: Analysis) -> str:
    """The report's words, without those that only explain others."""
    render(analysis)
    return pages(analysis.run.results).split("Glossary")[0]


def shown(analysis: Analysis) -> str:
    into = io.StringIO()
    Console(file=into, width=200, no_color=True).print(headline(analysis))
    return into.getvalue()


def test_images_a_minute_are_those_of_answers_that_hold_what_was_asked_for(tmp_path: Path) -> None:
    good = [painted(str(place), place * 100, 100, 2, first_ms=40) for place in range(9)]
    bad = painted("bad", 900, 10, 2, outcome="decode", status=200)
    found = analysed(tmp_path / "r", [*good, bad]).results[0]
    assert found.value("images_per_minute") == 60 * 2 * 9  # in a window of one second
    assert found.value("error_rate") == pytest.approx(0.1)
    assert found.value("time_per_image_p50") == pytest.approx(0.05)
    assert found.value("ttfi_p50") == pytest.approx(0.04)
    assert found.value("price_per_1k_images") == pytest.approx(36 / 3600 / 18 * 1000)
    assert found.product is IMAGES
    for name in ("ttft_p50", "itl_p50", "output_tokens_per_s", "inputs_per_s", "price_per_1m_output_tokens"):
        assert found.value(name) is None, name


def test_by_the_image_each_costs_what_was_said_and_failures_are_waste(tmp_path: Path) -> None:
    records = [painted(str(place), place * 100, 100, 2) for place in range(5)]
    lost, refused = (painted(name, 600, 10, 2, outcome=outcome, status=status) for name, outcome, status in (
        ("lost", "decode", 200), ("refused", "http_4xx", 400)))
    found = analysed(tmp_path / "r", [*records, lost, refused], {"per_image": 0.05}).results[0]
    assert found.value("price_per_1k_images") == pytest.approx(50)
    assert found.cost.failed_usd == pytest.approx(0.1)  # what was answered with 200 is billed, what was refused is not


def test_tokens_that_are_told_of_images_are_paid_for_and_are_no_throughput(tmp_path: Path) -> None:
    records = [painted(str(place), place * 100, 100, 1) for place in range(4)]
    for record in records:
        record.output_tokens, record.input_tokens, record.tokens_source = 1000, 10, "server"
    found = analysed(tmp_path / "r", records, {"input_per_1m": 0, "output_per_1m": 40}).results[0]
    assert found.value("price_per_1k_images") == pytest.approx(40)
    assert found.value("output_tokens_per_s") is None
    assert found.value("output_tokens_mean") == 1000
    assert found.value("price_per_1m_output_tokens") is found.cost.price_per_1m_output_tokens is None


def test_the_report_of_images_has_no_word_of_first_tokens(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "r", [painted(str(place), place * 100, 100, 2, first_ms=40) for place in range(9)])
    text = told(analysis)
    assert "Images made" in text
    for word in ("TTFT", "ITL", "TPOT", "Output throughput"):
        assert f"{word} p" not in text, word
    assert "images/min" in shown(analysis)
    assert "TTFT" not in shown(analysis)


def seeing(name: str, send_ms: float, images: int, counted: int | None) -> Record:
    first_ms = send_ms + 10.0 * images
    return request(name, send_ms, [first_ms, first_ms + 5], input_tokens=counted, prompt_tokens=5, images_in=images,
                   media_bytes=1000 * images, pixels_in=64 * images)


def test_media_are_counted_by_the_server_alone(tmp_path: Path) -> None:
    found = analysed(tmp_path / "told", [seeing(str(place), 100 * place, 1 + place % 2, 300) for place in range(8)])
    result = found.results[0]
    assert (result.value("images_in_mean"), result.value("images_in_per_s")) == (1.5, 12)
    assert result.value("media_bytes_per_s") == 12_000
    assert result.value("input_tokens_mean") == 300
    said = {check.name: check for check in result.checks}["server's token count = tokenizer's"]
    assert said.result == "NOT APPLICABLE"
    silent = analysed(tmp_path / "silent", [seeing(str(place), 100 * place, 1, None) for place in range(8)]).results[0]
    assert silent.value("input_tokens_mean") is None  # the text's five would be a wrong total
    assert "Images, sound and video in prompts" in told(found)
    said = {check.name: check for check in silent.checks}["server's token count = tokenizer's"]
    assert (said.result, "not known" in said.sentence) == ("WARN", True)


def test_prompts_of_text_have_no_word_of_media(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "r", [request(str(place), 100 * place, [100 * place + 9]) for place in range(8)])
    assert "Images" not in told(analysis)
    assert analysis.results[0].value("media_bytes_mean") is None
