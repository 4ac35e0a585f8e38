"""Price against speed for one user: which choices nothing else beats in both."""

from __future__ import annotations

from fmload_analysis.document.document import Axis, Chart, Point, Section, Series
from fmload_analysis.document.questions import MONTH
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.capacity import is_sound
from fmload_analysis.verdict.naming import Line, lines, stage_name
from fmload_analysis.verdict.table import StageResult


def render(analysis: Analysis) -> Section | None:
    """One chart with its Pareto front. None where no stage has a price."""
    chart = _pareto(lines(analysis))
    return Section("price-performance", "Price and speed", [chart], MONTH) if chart.series else None


def _pareto(found: list[Line]) -> Chart:
    prompt_sets = list(dict.fromkeys(line.prompt_set for line in found))
    series = [each for prompt_set in prompt_sets for each in _choices(
        [line for line in found if line.prompt_set == prompt_set], prompt_set if len(prompt_sets) > 1 else "")]
    return Chart("pareto", "Price against speed for one user", "xy", Axis("Speed for one user", "tokens/s"),
                 Axis("Price per 1M output tokens", "USD"), series,
                 note="Right and down is better. Speed is 1 ÷ TPOT p50. On the front are the stages that no other one "
                      "beats in both; stages that failed their audit are shown and not considered.")


def _choices(found: list[Line], panel: str) -> list[Series]:
    """The stages of one prompt set, and before them the front."""
    placed = [(line, result, spot) for line in found for result in line.results if (spot := _spot(result))]
    ahead = front([spot for _, result, spot in placed if is_sound(result)])
    fronts = [Series("Pareto front", [Point(x, y) for x, y in ahead], 6, dash=1, panel=panel, bare=True)]
    stages = [Series(line.endpoint, [Point(*spot, tip=_tip(result)) for each, result, spot in placed if each is line],
                     line.color, joined=False, panel=panel) for line in found]
    return [each for each in (fronts if len(ahead) > 1 else []) + stages if each.points]


def _spot(result: StageResult) -> tuple[float, float] | None:
    tpot, price = result.value("tpot_p50"), result.value("price_per_1m_output_tokens")
    return (1 / tpot, price) if tpot and price is not None else None


def _tip(result: StageResult) -> str:
    return stage_name(result) + ("" if is_sound(result) else f" (audit {result.audit})")


def front(spots: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The spots that no other beats in both: larger x, smaller y. In order of x."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(set(spots), key=lambda spot: (-spot[0], spot[1])):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best[::-1]
