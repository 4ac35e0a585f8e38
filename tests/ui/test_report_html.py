"""The HTML report in a real browser: it reaches for nothing, and does what its buttons say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from simulated import sweep
from watched import Watched

from fmload_analysis.document.document import (
    Axis,
    Callout,
    Cell,
    Chart,
    Code,
    Column,
    Fact,
    FactList,
    Paragraph,
    Point,
    Rule,
    Section,
    Series,
    Table,
    literal,
)
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report import html
from fmload_analysis.report.report import rendered
from fmload_analysis.run import open_run

pytestmark = pytest.mark.browser
HOSTILE = "</script><script>fail()</script><img src=http://192.0.2.1/x>"
Open = Callable[[list[Section]], Page]


@pytest.fixture
def opened(watched: Watched, tmp_path: Path) -> Open:
    def visit(sections: list[Section]) -> Page:
        path = tmp_path / "report.html"
        path.write_text(html.render("llama3-8b", "a run", sections))
        watched.page.goto(path.as_uri())
        return watched.page

    return visit


def latency_chart(stages: int = 5) -> Chart:
    names = ("inf2", "g5")
    series = [Series(name, [Point(2**k, 0.5 * (i + 1) * (k + 1), 0.4, 0.9 * (i + 1) * (k + 1), tip=f"stage {k}")
                            for k in range(stages)], color=i) for i, name in enumerate(names)]
    return Chart("latency", "E2E latency against concurrency", "xy", Axis("Concurrency", "users"), Axis("E2E", "s"),
                 series, [Rule("y", 4.0, "objective 4 s")])


def bars() -> Chart:
    return Chart("errors", "Failures", "bar", Axis("Stage", categories=("a", "b")), Axis("Requests"),
                 [Series("throttled", [Point(0, 3), Point(1, 5)]), Series("http_5xx", [Point(0, 1), Point(1, 0)], 1)])


def stage_table(rows: int) -> Table:
    columns = [Column("Endpoint", numeric=False), Column("E2E p95", "s"), Column("Detail", detail=True)]
    return Table(columns, [[Cell(("inf2", "g5")[k % 2], ("inf2", "g5")[k % 2]),
                            Cell("n/a") if k == 3 else Cell(f"{k * 7 % 11}.5", k * 7 % 11 + 0.5, "bad"),
                            Cell(f"d{k}", f"d{k}")] for k in range(rows)], "Stages")


def everything() -> list[Section]:
    return [
        Section("headline", "Result", [FactList([Fact("E2E p95", "4.63 s", "objective 5 s", "good")], "Best: **inf2**.",
                                             Fact("Audit", "PASS", mark="good")),
                                       Callout("warn", "Emulated", f"by {literal(HOSTILE)}"), Paragraph(HOSTILE)]),
        Section("charts", "Charts", [latency_chart(), bars()]),
        Section("stages", "Stages", [stage_table(12), Code(HOSTILE, caption="Run file")]),
    ]


def ticks(page: Page) -> list[str]:
    return page.locator("[data-chart=latency] svg text").all_inner_texts()


def test_the_page_reports_no_error_and_requests_nothing(opened: Open, watched: Watched) -> None:
    page = opened(everything())
    page.locator("[data-chart=errors]").scroll_into_view_if_needed()
    expect(page.locator("figure.chart .plots > svg")).to_have_count(2)
    assert watched.errors == []
    assert watched.network() == []
    assert len([url for url in watched.requests if url.startswith("file:")]) == 1


def test_text_from_outside_stays_text(opened: Open) -> None:
    page = opened(everything())
    expect(page.locator("main img")).to_have_count(0)
    expect(page.locator("#headline")).to_contain_text(HOSTILE)
    expect(page.locator("pre code")).to_have_text(HOSTILE)


def test_hover_shows_the_point_with_its_units(opened: Open) -> None:
    page = opened(everything())
    tooltip = page.locator("#tooltip")
    expect(tooltip).to_be_hidden()
    page.locator("[data-chart=latency] path.pt").nth(2).hover()
    expect(tooltip).to_be_visible()
    expect(tooltip).to_contain_text("inf2")
    expect(tooltip).to_contain_text("Concurrency: 4 users")
    expect(tooltip).to_contain_text("E2E: 1.5 s (0.4 to 2.7)")
    expect(tooltip).to_contain_text("stage 2")
    page.mouse.move(5, 5)
    expect(tooltip).to_be_hidden()


def test_arrow_keys_walk_through_the_points(opened: Open) -> None:
    page = opened(everything())
    page.locator("[data-chart=latency] .plots > svg").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tooltip")).to_contain_text("stage 0")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tooltip")).to_contain_text("stage 1")
    page.keyboard.press("Escape")
    expect(page.locator("#tooltip")).to_be_hidden()


def test_a_drag_zooms_and_reset_shows_everything_again(opened: Open) -> None:
    page = opened(everything())
    svg, reset = page.locator("[data-chart=latency] .plots > svg"), page.get_by_text("reset zoom").first
    before = ticks(page)
    expect(reset).to_be_hidden()
    box = svg.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.8, steps=4)
    page.mouse.up()
    expect(reset).to_be_visible()
    assert ticks(page) != before
    reset.click()
    expect(reset).to_be_hidden()
    assert ticks(page) == before


def test_log_axes_can_be_switched(opened: Open) -> None:
    page = opened(everything())
    button = page.locator("[data-chart=latency]").get_by_text("log x")
    before = ticks(page)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert ticks(page) != before
    button.click()
    assert ticks(page) == before


def test_the_legend_hides_a_series_and_isolates_one(opened: Open) -> None:
    page = opened(everything())
    points, legend = page.locator("[data-chart=latency] path.pt"), page.locator("[data-chart=latency] .legend button")
    expect(points).to_have_count(10)
    legend.nth(0).click()
    expect(points).to_have_count(5)
    expect(legend.nth(0)).to_have_attribute("aria-pressed", "false")
    legend.nth(0).click(modifiers=["Shift"])
    expect(points).to_have_count(5)
    expect(legend.nth(1)).to_have_attribute("aria-pressed", "false")


def test_the_numbers_of_a_chart_can_be_read_as_a_table(opened: Open) -> None:
    page = opened(everything())
    page.locator("[data-chart=latency]").get_by_text("data", exact=True).click()
    expect(page.locator("[data-chart=latency] .data tbody tr")).to_have_count(10)
    expect(page.locator("[data-chart=latency] .data")).to_contain_text("Concurrency (users)")


def test_a_link_into_a_folded_question_opens_it(opened: Open) -> None:
    stages = Section("stages", "Stages", [stage_table(3)], "What came of every stage?", "The most output: 9 tokens/s.")
    page = opened([Section("result", "Result", [Paragraph("[all stages](#stages)")]), stages])
    expect(page.locator("summary")).to_contain_text("The most output: 9 tokens/s.")
    expect(page.locator("#stages table")).to_be_hidden()
    page.get_by_text("all stages").click()
    expect(page.locator("#stages table")).to_be_visible()


def test_lines_are_named_at_their_ends_inside_the_picture(opened: Open) -> None:
    page = opened([Section("charts", "Charts", [latency_chart()])])
    expect(page.locator("[data-chart=latency] text.end")).to_have_text(["g5", "inf2"])
    assert page.evaluate("""[...document.querySelectorAll('text.end')].every(text =>
        text.getBoundingClientRect().right <= text.ownerSVGElement.getBoundingClientRect().right)""")


def test_a_table_filters_by_words_and_by_words_left_out(opened: Open) -> None:
    page = opened(everything())
    rows = page.locator("#stages tbody tr:visible")
    expect(rows).to_have_count(12)
    page.get_by_label("Filter the rows").fill("g5 -d1")
    expect(rows).to_have_count(4)  # 3, 5, 7, 9
    expect(page.locator("#stages .shown")).to_have_text("4 of 12 rows")


def test_a_table_sorts_by_value_with_the_absent_last(opened: Open) -> None:
    page = opened(everything())
    cells, head = page.locator("#stages td:nth-child(2)"), page.locator("#stages th").nth(1)
    head.click()
    ascending = [float(text.lstrip("✗ ")) for text in cells.all_inner_texts()[:-1]]
    assert ascending == sorted(ascending)
    assert cells.all_inner_texts()[-1] == "n/a"
    head.click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert cells.all_inner_texts()[0] == "✗ 9.5"
    assert cells.all_inner_texts()[-1] == "n/a"


def test_details_are_shown_on_request(opened: Open) -> None:
    page = opened(everything())
    detail = page.locator("#stages td.detail").first
    expect(detail).to_be_hidden()
    page.get_by_text("All columns").click()
    expect(detail).to_be_visible()


def test_dark_mode_follows_the_system_and_the_button(opened: Open, watched: Watched) -> None:
    page = opened(everything())

    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.locator("#theme").click()
    dark = background()
    assert dark != light
    page.locator("#theme").click()
    watched.page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert background() == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened: Open, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for every text in the page."""
    page = opened(everything())
    page.evaluate("scheme => document.documentElement.dataset.theme = scheme", scheme)
    poor = page.evaluate(CONTRAST)
    assert poor == []


def test_it_prints_with_every_chart_and_without_controls(opened: Open, watched: Watched) -> None:
    spread = [Section(f"s{k}", f"Part {k}", [stage_table(40)]) for k in range(3)]
    page = opened([*spread, *everything()])
    expect(page.locator("figure.chart .plots > svg")).to_have_count(0)  # far below: not drawn yet
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    expect(page.locator("figure.chart .plots > svg")).to_have_count(2)
    page.emulate_media(media="print")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("figure.chart .tools").first).to_be_hidden()
    assert watched.errors == []


def test_a_narrow_screen_does_not_scroll_sideways(opened: Open) -> None:
    page = opened(everything())
    page.set_viewport_size({"width": 380, "height": 800})
    expect(page.locator("[data-chart=latency] svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_that_can_be_pressed_has_a_name(opened: Open) -> None:
    page = opened(everything())
    nameless = page.evaluate("""[...document.querySelectorAll('button, input, svg[tabindex], a')].filter(each =>
        !(each.textContent.trim() || each.getAttribute('aria-label'))).length""")
    assert nameless == 0


DEAD_LINKS = """[...document.querySelectorAll('a[href^="#"]')].filter(link =>
    !document.getElementById(link.hash.slice(1))).map(link => link.hash)"""
CONTRAST = """() => {
  const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parse = text => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return {rgb: [r, g, b], a};
  };
  const light = rgb => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const ground = each => {
    for (; each; each = each.parentElement) {
      const {rgb, a} = parse(getComputedStyle(each).backgroundColor);
      if (a === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const texts = each => [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  const poor = [];
  for (const each of document.querySelectorAll('body *')) {
    if (!each.checkVisibility() || !texts(each)) continue;
    const style = getComputedStyle(each), ink = parse(each instanceof SVGElement ? style.fill : style.color).rgb;
    const [a, b] = [light(ink), light(ground(each))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push([each.tagName, each.textContent.trim().slice(0, 30), ratio.toFixed(2)]);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Section]:
    """All sections of a sweep of 200 stages."""
    levels, sizes = range(1, 26), {f"p{tokens}": (tokens, 8) for tokens in (40, 200, 400, 800)}
    results = sweep(tmp_path_factory.mktemp("runs") / "sweep", levels, sizes=sizes, window_s=3)
    return list(rendered(analyse_run(open_run(results.root))))


def test_a_sweep_of_200_stages_opens_draws_every_chart_and_its_links_lead_somewhere(
        whole: list[Section], opened: Open, watched: Watched, record_property: Callable[[str, object], None]) -> None:
    page = opened(whole)
    ready_ms = page.evaluate("Math.round(performance.getEntriesByType('navigation')[0].loadEventEnd)")
    record_property("opened_ms", ready_ms)
    print(f"200 stages: opened in {ready_ms} ms")
    expect(page.locator("#stages tbody tr")).to_have_count(200)
    assert page.evaluate("document.getElementById('result').offsetHeight") <= 2 * 1080
    assert page.evaluate("[...document.querySelectorAll('#result .scroll')].every(x => x.scrollWidth <= x.clientWidth)")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    charts = page.locator("figure.chart").count()
    assert charts >= 12
    assert page.evaluate(DEAD_LINKS) == []
    for place in range(charts):
        assert page.locator("figure.chart").nth(place).locator(".plots > svg .pt, .plots > svg g path").count() > 0
    assert watched.errors == []
    assert watched.network() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_real_report_keeps_its_contrast(whole: list[Section], opened: Open, scheme: str) -> None:
    page = opened([section for section in whole if section.id in ("result", "objectives", "errors", "configuration")])
    page.evaluate("scheme => document.documentElement.dataset.theme = scheme", scheme)
    assert page.evaluate(CONTRAST) == []


def thousand() -> Table:
    return Table([Column("name", numeric=False), Column("v")],
                 [[Cell(f"n{k} {HOSTILE}", title=HOSTILE, mark="bad" if k == 999 else None), Cell(f"{k}", 1000.0 - k)]
                  for k in range(1000)])


@pytest.mark.parametrize("wanted", ["button", "filter", "sort"])
def test_rows_of_a_long_table_come_when_they_are_wanted(opened: Open, watched: Watched, wanted: str) -> None:
    page = opened([Section("stages", "Stages", [thousand()])])
    rows = page.locator("#stages tbody tr")
    expect(rows).to_have_count(50)
    if wanted == "button":
        page.get_by_role("button", name="Show all 1000 rows").click()
    elif wanted == "filter":
        page.get_by_label("Filter the rows").fill("n999")
        expect(page.locator("#stages .shown")).to_have_text("1 of 1000 rows")
        expect(page.locator("#stages tbody tr:visible")).to_contain_text("✗ n999")
    else:
        page.locator("#stages th").nth(1).click()
        assert page.locator("#stages td:nth-child(2)").first.inner_text() == "999"
    expect(rows).to_have_count(1000)
    expect(page.locator("#stages .more")).to_have_count(0)
    assert page.locator("#stages img, #stages tbody script").count() == 0
    assert watched.errors == []
