"""Blocks as Markdown."""

from __future__ import annotations

from fmload_analysis.document import markdown
from fmload_analysis.document.document import (
    Axis,
    Callout,
    Cell,
    Chart,
    Code,
    Column,
    Fact,
    FactList,
    Point,
    Section,
    Series,
    Table,
    literal,
)


def test_a_cell_stays_in_its_cell() -> None:
    text = markdown.table([Column("a|b", numeric=False)], [[Cell("x | y\nz")]])
    assert text.splitlines() == ["| a\\|b |", "| --- |", "| x \\| y z |"]


def test_a_bad_value_is_bold_and_every_mark_is_a_symbol() -> None:
    cells = [Cell("1", 1, "good"), Cell("2", 2, "warn"), Cell("3", 3, "bad")]
    assert markdown.table([Column("v")] * 3, [cells]).splitlines()[2] == "| ✓ 1 | ▲ 2 | ✗ **3** |"


def test_details_and_empty_tables_and_charts_are_left_out() -> None:
    assert markdown.table([Column("a"), Column("b", detail=True)], [[Cell("1"), Cell("2")]]).splitlines()[2] == "| 1 |"
    assert markdown.block(Table([Column("a")], [])) == ""
    assert markdown.block(Chart("c", "t", "xy", Axis("x"), Axis("y"), [Series("s", [])])) == ""


def test_a_chart_is_a_picture_beside_the_file() -> None:
    chart = Chart("c", "Title", "xy", Axis("x"), Axis("y"), [Series("s", [Point(1, 2)])], note="Note.")
    assert markdown.block(chart) == "![Title](figures/c.png)\n\nNote."


def test_code_cannot_end_its_own_fence() -> None:
    fence, *_, last = markdown.block(Code("a\n````\nb", "yaml")).splitlines()
    assert (fence, last) == ("`````yaml", "`````")


def test_facts_are_a_table_with_the_badge_first() -> None:
    text = markdown.block(FactList([Fact("E2E", "2 s", "at most 5 s", "good")], "Lead.", Fact("Audit", "PASS")))
    assert text.splitlines()[0] == "Lead."
    assert text.splitlines()[-2:] == ["| Audit | PASS |", "| E2E | ✓ 2 s (at most 5 s) |"]


def test_a_report_is_a_title_and_its_sections() -> None:
    text = markdown.render("T", [Section("a", "A", [Callout("warn", "W", "w\nv")]), Section("b", "B", [])])
    assert text == "# T\n\n## A\n\n> [!WARNING]\n> **W**\n> w\n> v\n\n## B\n"


def test_a_literal_holds_no_markup() -> None:
    assert literal("a`b`\n**c**") == "`a'b' **c**`"
    assert literal("") == ""
