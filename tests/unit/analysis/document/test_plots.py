"""Charts as PNG: the same data as the interactive ones, nothing cut off."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from matplotlib import image

from fmload_analysis.document import plots
from fmload_analysis.document.document import Axis, Chart, Kind, Point, Rule, Series


def chart(kind: Kind = "xy", panels: tuple[str, ...] = ("",), rules: tuple[Rule, ...] = (), **y: bool) -> Chart:
    series = [Series(f"s{k}", [Point(x, (k + 1) * x, 0.5 * x, 3.0 * x) for x in (1, 2, 4)], k, panel=panel)
              for k, panel in enumerate(panels)]
    axis = Axis("X", categories=("none", "one", "two", "three", "four")) if kind != "xy" else Axis("X", "u")
    return Chart("c", "Title", kind, axis, Axis("Y", "s", **y), series, rules)


@pytest.mark.parametrize("kind", ["xy", "bar", "box"])
def test_every_kind_is_drawn(kind: Kind, tmp_path: Path) -> None:
    path = plots.save(chart(kind), tmp_path)
    assert path == tmp_path / "c.png"
    pixels = image.imread(path)
    assert pixels.shape[1] >= 1600
    assert pixels.min() < 0.5


def test_a_chart_without_a_point_is_not_drawn(tmp_path: Path) -> None:
    assert plots.save(Chart("c", "t", "xy", Axis("x"), Axis("y"), [Series("s", [])]), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_panels_share_axes_that_hold_every_point_and_band() -> None:
    figure = plots.draw(chart(panels=("a", "b", "c", "d", "e")))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 5
    assert {axes.get_ylim() for axes in shown} == {shown[0].get_ylim()}
    assert shown[0].get_ylim()[0] == 0
    assert shown[0].get_ylim()[1] > 20  # the fifth series ends at 20
    assert shown[0].get_xlim()[1] > 4


def test_a_limit_that_is_near_is_drawn_and_a_far_one_does_not_squeeze_the_data() -> None:
    near = plots.draw(chart(rules=(Rule("y", 15, "near"),))).axes[0]
    far = plots.draw(chart(rules=(Rule("y", 1000, "far"),))).axes[0]
    assert near.get_ylim()[1] > 15
    assert [text.get_text() for text in near.texts] == ["near"]
    assert far.get_ylim()[1] < 20
    assert len(far.texts) == 0


@pytest.mark.parametrize(("values", "log"), [((99.0, 100.0), False), ((1.0, 100.0), False), ((5.0, 5.0), False),
                                             ((1.0, 10_000.0), True), ((99.0, 100.0), True)])
def test_the_highest_point_stays_clear_of_the_upper_edge(values: tuple[float, float], log: bool) -> None:
    series = Series("s", [Point(x, y) for x, y in enumerate(values, 1)])
    axes = plots.draw(Chart("c", "t", "xy", Axis("x"), Axis("y", log=log), [series])).axes[0]
    height = axes.transAxes.inverted().transform(axes.transData.transform((2, values[1])))[1]
    assert 0.5 < height < 0.96


def test_a_limit_below_all_values_is_left_out() -> None:
    points = [Point(1, 90), Point(2, 100)]
    spec = Chart("c", "t", "xy", Axis("x"), Axis("y"), [Series("s", points, bars=True)], [Rule("y", 1, "low")])
    axes = plots.draw(spec).axes[0]
    assert axes.get_ylim()[0] > 1
    assert len(axes.texts) == 0


def test_a_logarithmic_axis_leaves_out_what_it_cannot_hold() -> None:
    spec = Chart("c", "t", "xy", Axis("x"), Axis("y", log=True), [Series("s", [Point(1, 0), Point(2, 10)])])
    low, high = plots.draw(spec).axes[0].get_ylim()
    assert 0 < low < 10 < high


WIDE = Axis("Y", "s", ticks=(1_234_567.0, 2_345_678.0))
LONG = Axis("X", categories=tuple(f"inf2.xlarge {k} × {k} users" for k in range(6)))


@pytest.mark.parametrize("spec", [
    Chart("c", "Title", "xy", Axis("X", "u"), WIDE, [Series(f"endpoint-{k}", [Point(1, 1e6), Point(2, k * 1e6)], k,
                                                            joined=True) for k in range(1, 5)]),
    *(Chart("c", "Title", "bar", LONG, Axis("Y", "s"), [
        Series(f"s{k}", [Point(x, 1 + k) for x in range(6)], k, panel=panel)
        for panel in panels for k in range(names)]) for panels in (("",), tuple("abcde")) for names in (1, 3, 30))])
def test_nothing_of_a_chart_is_cut_off_or_stands_over_another_part(spec: Chart) -> None:
    figure = plots.draw(spec)
    whole, shown = figure.bbox, [axes for axes in figure.axes if axes.get_visible()]
    parts = [axes.get_tightbbox() for axes in shown] + [legend.get_window_extent() for legend in figure.legends]
    if figure._suptitle is not None:  # type: ignore[attr-defined]
        parts.append(figure._suptitle.get_window_extent())  # type: ignore[attr-defined]
    assert all(part.x0 >= whole.x0 and part.x1 <= whole.x1 and part.y0 >= whole.y0 and part.y1 <= whole.y1
               for part in parts)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(parts, 2))
    assert all(axes.get_window_extent().height > 0.2 * whole.height for axes in shown)


def test_axes_name_their_units() -> None:
    axes = plots.draw(chart()).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("X (u)", "Y (s)")


def test_the_same_chart_gives_the_same_file(tmp_path: Path) -> None:
    first = plots.save(chart(), tmp_path / "a")
    second = plots.save(chart(), tmp_path / "b")
    assert first and second
    assert first.read_bytes() == second.read_bytes()
