"""Lengths asked for against lengths that came."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import request, stage, write

from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import output_lengths
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.table import Check


def answers(got: list[int], asked: int | None = 10, source: str = "server") -> list[Record]:
    return [request(f"r{index}", 20 * index, [20 * index + 5, 20 * index + 9], tokens=[1, tokens - 1],
                    max_output_tokens=asked, tokens_source=source) for index, tokens in enumerate(got)]


def analysed(root: Path, records: list[Record], exact: bool = False) -> Analysis:
    write(root, [stage()], records, spec={"prompts": [{"name": "p", "exact_output": exact}]})
    return analyse_run(open_run(root))


def check(analysis: Analysis) -> Check | None:
    return next((one for one in analysis.results[0].checks if one.name == "output as long as asked"), None)


def test_shorter_and_longer_answers_are_counted(tmp_path: Path) -> None:
    lengths = analysed(tmp_path, answers([10, 8, 8, 12])).results[0].summary.output_lengths
    assert lengths is not None
    assert (lengths.n, lengths.shorter, lengths.longer, lengths.asked_mean, lengths.got_mean) == (4, 2, 1, 10, 9.5)
    assert lengths.difference == pytest.approx(-0.05)


@pytest.mark.parametrize(("asked", "source"), [(None, "server"), (10, "chunks")])
def test_what_was_not_asked_or_not_counted_is_not_compared(tmp_path: Path, asked: int | None, source: str) -> None:
    assert analysed(tmp_path, answers([10, 8], asked, source)).results[0].summary.output_lengths is None


def test_an_answer_that_ends_by_itself_is_no_finding_unless_exact_lengths_were_asked(tmp_path: Path) -> None:
    assert check(analysed(tmp_path / "a", answers([10, 8]))) is None
    found = check(analysed(tmp_path / "b", answers([10, 8]), exact=True))
    assert found is not None and found.result == "FAIL"
    few = check(analysed(tmp_path / "c", answers([10] * 39 + [9]), exact=True))
    assert few is not None and few.result == "WARN"
    kept = check(analysed(tmp_path / "d", answers([10, 10]), exact=True))
    assert kept is not None and kept.result == "PASS"


def test_the_section_is_there_when_lengths_differ_or_were_to_be_exact(tmp_path: Path) -> None:
    assert output_lengths.render(analysed(tmp_path / "a", answers([10, 10]))) is None
    assert output_lengths.render(analysed(tmp_path / "b", answers([10, 10]), exact=True)) is not None
    assert output_lengths.render(analysed(tmp_path / "c", answers([10, 9]))) is not None
