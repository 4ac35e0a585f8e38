"""The answer page, and what a pull request gets of a report: short whatever the run was, nothing twice."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from handmade import request, stage, write
from hypothesis import given
from hypothesis import strategies as st
from simulated import sweep

from fmload.cli.main import main
from fmload_analysis.document.document import Axis, Block, Chart, FactList, Point, Section, Series, Table
from fmload_analysis.document.plots import spread_out
from fmload_analysis.document.questions import QUESTIONS, chapters, opening
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report import digest
from fmload_analysis.report.legible import legible
from fmload_analysis.report.report import render, rendered
from fmload_analysis.report.sections.stages import MOST_ROWS, selected
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis


def analysed(root: Path) -> Analysis:
    return analyse_run(open_run(root))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """One stage, no price, no objective."""
    records = [request(f"r{k}", 100 * k, [100 * k + 50, 100 * k + 75, 100 * k + 99]) for k in range(150)]
    return analysed(write(tmp_path_factory.mktemp("plain"), [stage(0, 15_000)], records).root)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Forty priced stages with objectives: two endpoints, two prompt sets, ten levels."""
    sizes = {"short": (40, 8), "long": (400, 8)}
    return analysed(sweep(tmp_path_factory.mktemp("many"), range(1, 11), sizes=sizes, window_s=2).root)


@pytest.fixture(params=["plain", "many"])
def either(request: pytest.FixtureRequest) -> Analysis:
    found: Analysis = request.getfixturevalue(request.param)
    return found


def blocks(sections: list[Section]) -> list[Block]:
    return [block for section in sections for block in section.blocks]


def test_the_markdown_is_fit_for_a_pull_request_and_its_links_lead_somewhere(either: Analysis) -> None:
    text = render(either)[0].read_text()
    assert len(text.splitlines()) < 200
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert {"details.md", "audit.md", "environment.md"} <= set(targets)
    assert [target for target in targets if not (either.run.results.root / target).exists()] == []


def test_every_section_stands_once_under_a_question_or_on_the_answer_page(either: Analysis) -> None:
    sections = list(rendered(either))
    assert [section.id for section in opening(sections)] == ["result"]
    assert [chapter.question for chapter in chapters(sections)] == [
        question for question in QUESTIONS if any(section.question == question for section in sections)]
    charts = Counter(block.name for block in blocks(sections) if isinstance(block, Chart))
    assert max(charts.values()) == 1
    assert all(section.blocks for section in sections)


def test_charts_have_eight_names_at_most_and_say_what_they_leave_out() -> None:
    series = [Series(f"s{place}", [Point(1, place)], place) for place in range(20)]
    chart = legible(Chart("c", "C", "xy", Axis("x"), Axis("y"), series))
    assert [one.name for one in chart.series][::7] == ["s0", "s19"]
    assert len({one.color % 8 for one in chart.series}) == len(chart.series) == 8
    assert chart.note == "Shown: 8 of 20 lines; the tables have all."
    few = Chart("c", "C", "xy", Axis("x"), Axis("y"), series[:8])
    assert legible(few) is few


def test_without_price_and_objectives_the_figures_stand_there_and_no_reproach(plain: Analysis) -> None:
    page = next(iter(rendered(plain)))
    tiles = next(block for block in page.blocks if isinstance(block, FactList))
    assert [fact.label for fact in tiles.facts] == [
        "Output throughput", "Requests", "TTFT p95", "ITL p95", "E2E p95", "Error rate"]
    assert not any(word in str(page.blocks) for word in ("n/a", "objectives", "USD", "mark='bad'"))
    ids = {section.id for section in rendered(plain)}
    assert ids.isdisjoint({"recommendations", "price-performance", "objectives"})


def test_of_many_stages_the_answer_page_shows_twelve_with_the_best_among_them(many: Analysis) -> None:
    chosen = [result.stage for result in selected(many)]
    assert len(chosen) == MOST_ROWS
    assert {found.best.stage for found in many.best if found.best} <= set(chosen)
    assert chosen == sorted(chosen)
    page = next(iter(rendered(many)))
    table = [block for block in page.blocks if isinstance(block, Table)][-1]
    assert len(table.rows) == MOST_ROWS
    assert "of 12 of 40 stages" in table.caption


def test_each_question_is_answered_in_a_sentence_beside_it(many: Analysis) -> None:
    gists = {chapter.question: chapter.gist for chapter in chapters(rendered(many))}
    assert all(gists.values())
    assert "first token after" in gists["How fast is it for one user?"]
    assert re.search(r"At 100 requests a minute: .*\$", gists["What would a month cost?"])
    assert gists["What was the limit?"] == "Not known: no endpoint told of its queue, cache or accelerators."


def test_what_does_not_fit_is_left_to_the_files_beside_and_no_question_is_lost(many: Analysis) -> None:
    sections = list(rendered(many))
    longer = [replace(section, blocks=list(section.blocks) * 12) if section.question else section
              for section in sections]
    text = digest.render("t", "h", longer, {section.id: "details.md" for section in longer})
    assert len(text.splitlines()) < 200
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")][1:] == [
        chapter.question for chapter in chapters(sections)]


@given(st.lists(st.floats(0, 300), min_size=1, max_size=8))
def test_names_at_the_ends_of_lines_stand_apart(pixels: list[float]) -> None:
    at = spread_out([(pixel, place) for place, pixel in enumerate(sorted(pixels))], 20, 300)
    assert all(after[0] - before[0] >= 20 - 1e-9 for before, after in pairwise(at))
    assert max(pixel for pixel, _ in at) <= 300


@pytest.mark.parametrize(("form", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_figures_go_to_a_folder_of_their_own_and_nothing_else_is_written(
        form: str, begins: bytes, plain: Analysis, tmp_path: Path) -> None:
    root = plain.run.results.root
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert main(["report", str(root), "--figures", str(tmp_path / "slides"), "--format", form]) == 0
    written = list((tmp_path / "slides").iterdir())
    assert {path.suffix for path in written} == {f".{form}"}
    assert all(path.read_bytes().startswith(begins) for path in written)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
