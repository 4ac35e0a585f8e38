"""Blocks as HTML, as far as no browser is needed."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from fmload_analysis.document.document import Axis, Cell, Chart, Column, Paragraph, Point, Section, Series, Table
from fmload_analysis.report import html


def page(*blocks: object) -> str:
    return html.render("T", "s", [Section("a", "A", blocks)])  # type: ignore[arg-type]


def body(text: str) -> str:
    return text.split("<tbody>")[1].split("</tbody>")[0]


@given(st.text())
def test_no_text_makes_an_element_of_its_own(text: str) -> None:
    made = re.findall(r"<(/?\w+)", str(html.inline(f"<b>{text}")))
    assert set(made) <= {"code", "/code", "strong", "/strong", "a", "/a"}


def test_the_inline_markup() -> None:
    assert html.inline("a **b `c`** `<d>` [e](#f)") == (
        'a <strong>b <code>c</code></strong> <code>&lt;d&gt;</code> <a href="#f">e</a>')


def test_a_link_to_a_script_is_text() -> None:
    assert html.inline("[x](javascript:alert(1))") == "x)"
    assert html.inline("[x](//elsewhere)") == "x"


def test_data_cannot_end_the_script_that_holds_it() -> None:
    name = "</script><b>"
    text = page(Chart("c", name, "xy", Axis(name), Axis("y"), [Series(name, [Point(1, 2, tip=name)])]))
    data = re.search(r'id="report-data">(.*?)</script>', text, re.DOTALL)
    assert data
    assert json.loads(data[1])["c"]["series"][0]["name"] == name


def test_nothing_in_the_page_names_another_place() -> None:
    text = page(Paragraph("p"), Chart("c", "t", "xy", Axis("x"), Axis("y"), [Series("s", [Point(1, 2)])]))
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#|data:)[^"'\s)]+""", text) == []
    assert "default-src 'none'" in text


def test_values_to_sort_by_are_kept_in_full() -> None:
    text = page(Table([Column("v")], [[Cell("1.23", 1.23456789)], [Cell("n/a")]]))
    assert 'data-v="1.23456789"' in text
    assert body(text).count("data-v=") == 1


def test_the_page_is_the_same_each_time() -> None:
    assert page(Paragraph("p")) == page(Paragraph("p"))


def long_table(rows: int) -> Table:
    return Table([Column("name", numeric=False), Column("v", detail=True)],
                 [[Cell(f"`n{k}` </script>", title="why <", mark="warn" if k % 2 else None), Cell(f"{k}", k + 0.5)]
                  for k in range(rows)])


def test_a_long_table_shows_its_first_rows_and_holds_the_others_as_data() -> None:
    text = page(long_table(1000))
    assert body(text).count("<tr>") == html.FIRST_ROWS and "Show all 1000 rows" in text
    data = re.search(r'class="held">(.*?)</script>', text, re.DOTALL)
    assert data
    held = json.loads(data[1])
    assert held["classes"] == ["", "num detail"]
    assert len(held["rows"]) == 1000 - html.FIRST_ROWS
    name = '<span class="symbol">▲</span> <code>n999</code> &lt;/script&gt;'
    assert held["rows"][-1] == [[name, None, "warn", "why <"], ["999", "999.5"]]


def test_a_table_of_as_many_rows_as_are_read_is_there_at_once() -> None:
    text = page(long_table(html.MOST_ROWS))
    assert body(text).count("<tr>") == html.MOST_ROWS and 'class="held"' not in text
