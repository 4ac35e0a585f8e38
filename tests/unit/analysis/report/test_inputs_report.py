"""A run of embeddings: its figures by hand, and a report without a word of first tokens and gaps."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from handmade import pages, request, stage, write
from rich.console import Console

from fmload.model.record import Record
from fmload.results.folder import Results
from fmload_analysis.document.document import Chart, Table
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.report import render
from fmload_analysis.report.sections import batch_size
from fmload_analysis.report.terminal import headline
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.table import summary_row, write_csv

BATCHES = (1, 8, 64)
LENGTHS_MS = (10, 20, 80)


def embedded(name: str, send_ms: float, length_ms: float, inputs: int, **columns: Any) -> Record:
    record = request(name, send_ms, end_ms=send_ms + length_ms, streamed=False, inputs=inputs, finish_reason=None,
                     tokens_source=None, input_tokens=100 * inputs, **columns)
    if record.outcome == "ok":
        record.last_token_ns = record.end_ns
    return record


def three_batches(root: Path, **spec: Any) -> Results:
    """One user, one after another for a second: batches of 1 in 10 ms, of 8 in 20 ms, of 64 in 80 ms."""
    records = [embedded(f"{level}-{i}", i * length, length, inputs, stage=level, prompt_set=f"b{inputs}")
               for level, (inputs, length) in enumerate(zip(BATCHES, LENGTHS_MS, strict=True))
               for i in range(1000 // length)]
    stages = [stage(level, prompt_set=f"b{inputs}", start_ns=1_000_000_000_000) for level, inputs in enumerate(BATCHES)]
    return write(root, stages, records, spec={
        "endpoints": [{"name": "a", "price": {"hourly": 3.6}}], "objectives": {"e2e_p50": "50ms"}, **spec})


def analysed(results: Results) -> Analysis:
    return analyse_run(open_run(results.root))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Analysis]:
    results = three_batches(tmp_path_factory.mktemp("inputs") / "r")
    return results, analysed(results)


def test_inputs_a_second_and_their_price_are_those_of_the_answers_in_the_window(run: tuple[Results, Analysis]) -> None:
    one, eight, many = run[1].results
    assert [one.value("inputs_per_s"), eight.value("inputs_per_s")] == [99, 8 * 49]  # the last ends at the window's end
    assert many.value("inputs_per_s") == 64 * 12
    assert [result.value("inputs_mean") for result in run[1].results] == list(BATCHES)
    # 3.6 USD an hour are 0.001 a second
    assert eight.value("price_per_1m_inputs") == pytest.approx(0.001 / (8 * 49) * 1e6)
    assert many.value("input_tokens_per_s") == 6400 * 12
    assert many.value("e2e_p50") == pytest.approx(0.08)


def test_what_only_text_has_is_not_known(run: tuple[Results, Analysis]) -> None:
    for name in ("ttft_p50", "tpot_p50", "itl_p50", "output_tokens_per_s", "output_tokens_mean",
                 "price_per_1m_output_tokens"):
        assert {result.value(name) for result in run[1].results} == {None}, name


def test_by_the_token_an_input_costs_what_its_tokens_do(tmp_path: Path) -> None:
    price = {"input_per_1m": 0.1, "output_per_1m": 0}
    found = analysed(three_batches(tmp_path / "r", endpoints=[{"name": "a", "price": price}])).results
    assert [result.value("price_per_1m_inputs") for result in found] == [pytest.approx(10.0)] * 3


def test_a_failed_request_counts_none_of_its_inputs(tmp_path: Path) -> None:
    records = [embedded("good", 0, 10, 8), embedded("bad", 20, 10, 8, outcome="decode", error="7 vectors for 8 inputs")]
    [found] = analysed(write(tmp_path / "r", [stage()], records)).results
    assert (found.value("inputs_per_s"), found.value("error_rate")) == (8, 0.5)


def test_stages_of_text_have_no_inputs(tmp_path: Path) -> None:
    [found] = analysed(write(tmp_path / "r", [stage()], [request("r", 0, [50, 90])])).results
    assert (found.value("inputs_per_s"), found.value("price_per_1m_inputs"), found.embeds) == (None, None, False)
    assert found.value("output_tokens_per_s") == 2


def test_the_report_answers_which_batch_size(run: tuple[Results, Analysis]) -> None:
    section = batch_size.render(run[1])
    assert section is not None
    assert section.gist == ("a: 8 inputs a request at 1 user give the most within the objectives, 392 inputs a second "
                            "at E2E p50 20.0 ms.")
    [chart] = [block for block in section.blocks if isinstance(block, Chart)]
    assert [[(point.x, point.y) for point in series.points] for series in chart.series] == [
        [(99, pytest.approx(0.01)), (392, pytest.approx(0.02)), (768, pytest.approx(0.08))]]
    [table] = [block for block in section.blocks if isinstance(block, Table)]
    assert [row[1].text for row in table.rows] == ["1", "8", "64"]


def test_no_batch_size_within_the_objectives_is_told(tmp_path: Path) -> None:
    section = batch_size.render(analysed(three_batches(tmp_path / "r", objectives={"e2e_p50": "1ms"})))
    assert section is not None
    assert section.gist == "a: no batch size met the objectives."


def test_a_run_of_text_has_no_section_on_batches(tmp_path: Path) -> None:
    assert batch_size.render(analysed(write(tmp_path / "r", [stage()], [request("r", 0, [50, 90])]))) is None


def test_report_and_terminal_have_no_column_of_tokens_that_nobody_made(run: tuple[Results, Analysis]) -> None:
    results, analysis = run
    render(analysis)
    text = pages(results).split("Glossary")[0]
    told = [line for line in text.splitlines() if any(
        word in line for word in ("TTFT", "TPOT", "ITL", "ICL", "Output (tokens", "1M output", "tokens out"))]
    assert [line for line in told if "audit" not in line.lower() and "Time | TTFT" not in line] == []
    screen = io.StringIO()
    Console(file=screen, width=220).print(headline(analysis))
    shown = screen.getvalue()
    assert "inputs/s" in shown
    assert "$/1M inputs" in shown
    assert not {"TTFT", "ITL", "TPOT", "$/1M out"} & set(shown.replace("  ", " ").split(" "))
    assert "0 out" not in shown


def test_summary_csv_has_inputs_and_blanks_for_what_was_not_made(run: tuple[Results, Analysis]) -> None:
    results, analysis = run
    write_csv(results.summary_csv, [summary_row(result) for result in analysis.results])
    rows = list(csv.DictReader(results.summary_csv.open()))
    assert [(float(row["inputs_mean"]), float(row["inputs_per_s"])) for row in rows] == [(1, 99), (8, 392), (64, 768)]
    blank = ("ttft_p50_s", "itl_p50_s", "tpot_p50_s", "output_tokens_per_s", "output_tokens_mean")
    assert {row[name] for row in rows for name in blank} == {""}


@pytest.mark.parametrize(("objective", "state"), [
    ({"inputs_per_s": 200}, ["missed", "met", "met"]), ({"price_per_1m_inputs": 2.0}, ["missed", "missed", "met"])])
def test_objectives_are_set_on_inputs_and_their_price(tmp_path: Path, objective: dict[str, Any],
                                                      state: list[str]) -> None:
    found = analysed(three_batches(tmp_path / "r", objectives=objective)).results
    assert [result.objectives for result in found] == state
