"""The answer of a search: ranking, ties, savings, effects, the front, and the page."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from fmload.model.stack import Candidate, Figure, StackSearch, Trial
from fmload.results import search_file
from fmload_analysis.stacks.effects import effects, interactions
from fmload_analysis.stacks.front import Place, front
from fmload_analysis.stacks.machines import reused
from fmload_analysis.stacks.page import write
from fmload_analysis.stacks.ranking import overlap, ranking, saving
from fmload_analysis.stacks.words import answer, machines


def search_of(*figures: Figure, by: str = "price_per_1m_output_tokens", shares: tuple[float, ...] = ()) -> StackSearch:
    names = [f"c-{number}" for number in range(len(figures))]
    search = StackSearch("s", by, "grid", 0, [Candidate(name, "c", {"n": name}, name == "c-0") for name in names])
    search.trials = [Trial(number, name, shares[number] if shares else 1.0, f"trials/{name}", "measured", figure=figure,
                           facts={"load": "4 users", "points": []})
                     for number, (name, figure) in enumerate(zip(names, figures, strict=True))]
    return search


def test_the_lowest_price_and_the_highest_rate_are_first() -> None:
    figures = Figure(2, 1.9, 2.1), Figure(1, 0.9, 1.1), Figure(3, 2.9, 3.1)
    assert [one.candidate.name for one in ranking(search_of(*figures))] == ["c-1", "c-0", "c-2"]
    assert [one.candidate.name for one in ranking(search_of(*figures, by="requests_per_s"))] == ["c-2", "c-0", "c-1"]


def test_whose_intervals_overlap_are_a_tie_and_the_answer_says_so() -> None:
    search = search_of(Figure(5, 4, 6), Figure(1.0, 0.9, 1.1), Figure(1.05, 1.0, 1.2), Figure(1.3, 1.2, 1.4))
    assert [(one.candidate.name, one.tie) for one in ranking(search)] == [
        ("c-1", True), ("c-2", True), ("c-3", False), ("c-0", False)]
    assert "A tie with c-2: their intervals overlap." in answer(search)


def test_an_open_end_overlaps_with_all_beyond_it() -> None:
    assert overlap(Figure(5, None, 6), Figure(1, 0.9, 1.1)) and not overlap(Figure(5, 4, None), Figure(1, 0.9, 1.1))


def test_a_short_trial_does_not_win_over_a_whole_one() -> None:
    search = search_of(Figure(1.0, 0.5, 1.5), Figure(1.2, 1.1, 1.3), shares=(0.125, 1.0))
    assert ranking(search)[0].candidate.name == "c-1" and ranking(search)[1].tie


def test_the_saving_against_the_default_has_the_interval_of_both() -> None:
    search = search_of(Figure(2, 1.8, 2.2), Figure(1, 0.9, 1.1))
    found = saving(search, search.trials[1].figure, search.trials[0].figure)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 1 - 1.1 / 1.8, 1 - 0.9 / 2.2))
    assert "50 % (39 % to 59 %) cheaper than the default, c-0" in answer(search)


def test_more_of_a_rate_is_a_positive_saving() -> None:
    search = search_of(Figure(100, 90, 110), Figure(200, 180, 220), by="requests_per_s")
    found = saving(search, search.trials[1].figure, search.trials[0].figure)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 180 / 110 - 1, 220 / 90 - 1))


def test_a_default_that_ties_is_not_said_to_be_beaten() -> None:
    text = answer(search_of(Figure(1.1, 0.9, 1.3), Figure(1.0, 0.9, 1.1)))
    assert "nothing is shown" in text and "cheaper" not in text


def grid(figure: Any, seed: int = 4) -> list[tuple[dict[str, str], float]]:
    """24 candidates whose figures are 1 % off, at random."""
    draw = random.Random(seed)
    return [({"a": a, "b": b, "c": c}, figure(a, b, c) * (1 + draw.gauss(0, 0.01)))
            for a, b, c in itertools.product("12", "123", "1234")]


FIRSTS = {"a": "1", "b": "1", "c": "1"}


TRUE = {("a", "2"): 0.7, ("b", "2"): 1.0, ("b", "3"): 2.0, ("c", "2"): 1.0, ("c", "3"): 1.0, ("c", "4"): 1.0}


def truth(a: str, b: str, c: str) -> float:
    return TRUE.get(("a", a), 1.0) * TRUE.get(("b", b), 1.0)


def test_the_intervals_of_all_effects_hold_the_truth_together_as_often_as_they_say() -> None:
    tables = [effects(grid(truth, seed), FIRSTS) for seed in range(300)]
    held = sum(all(one.low < TRUE[one.term[0]] < one.high for one in table) for table in tables)
    assert held / 300 > 0.92  # 95 %, and 300 draws of it


def test_an_effect_that_is_there_is_clear_and_counts_its_candidates() -> None:
    found = {one.term[0]: one for one in effects(grid(truth), FIRSTS)}
    assert {term for term, one in found.items() if one.is_clear} == {("a", "2"), ("b", "3")}
    assert found["a", "2"].n == 12 and found["c", "4"].n == 6


def test_interactions_that_matter_are_told_and_no_others() -> None:
    found = interactions(grid(lambda a, b, c: 0.5 if (a, b) == ("2", "3") else 1.0), FIRSTS)
    assert [set(one.term) for one in found] == [{("a", "2"), ("b", "3")}]
    assert found[0].ratio == pytest.approx(0.5, rel=0.05)
    assert interactions(grid(lambda a, b, c: float(a) * float(b)), FIRSTS) == []


def test_effects_that_cannot_be_told_apart_are_not_told() -> None:
    together = [({"a": value, "b": value}, float(value)) for value in "1212"]
    assert effects(together, {"a": "1", "b": "1"}) == []
    assert effects(together[:2], {"a": "1", "b": "1"}) == []


def test_on_the_front_stands_what_nothing_beats_in_both() -> None:
    points = [Place("a", "1", 1.0, 10.0, True, 1.0), Place("b", "1", 2.0, 30.0, True, 1.0),
              Place("c", "1", 2.5, 20.0, True, 1.0), Place("d", "1", 1.0, 9.0, True, 1.0)]
    assert [one.candidate for one in front(points)] == ["a", "b"]


def test_the_page_is_written_at_any_moment(tmp_path: Path) -> None:
    search = search_of(Figure(2, 1.8, 2.2), Figure(1, 0.9, 1.1), Figure())
    search.candidates.append(Candidate("c-3", "c", {"n": "never"}))
    search.trials.append(Trial(3, "c-1", 1.0, "trials/x", "running"))
    search.trials[0].status, search.trials[0].reason, search.trials[0].words = "failed", "no memory", "boom <b>"
    search.trials[0].figure = Figure()
    search_file.write(tmp_path, search)
    write(tmp_path)
    text, page = (tmp_path / "report.md").read_text(), (tmp_path / "report.html").read_text()
    assert "The search is not over" in text and "no memory" in text and "c-3" in text and "Not settled" in text
    assert "boom &lt;b&gt;" in page and "boom <b>" not in page


def test_nothing_tried_is_a_page_too(tmp_path: Path) -> None:
    search = search_of()
    search.candidates.append(Candidate("c-0", "c", {}, True))
    search_file.write(tmp_path, search)
    write(tmp_path)
    assert "No candidate is shown to meet the objectives" in (tmp_path / "report.md").read_text()


def on_machine(trial: Trial, reused: bool, ready_s: float, served: bool = True) -> None:
    trial.facts.update(machine="00", reused=reused, ready_s=ready_s, served=served, usd_per_hour=3.6)


def test_a_takeover_has_saved_what_the_first_start_of_its_machine_took_longer() -> None:
    search = search_of(*[Figure(1, 0.9, 1.1)] * 4)
    for number, (took_over, ready_s, served) in enumerate(
            [(False, 600.0, True), (True, 40.0, True), (True, 90.0, False), (True, 700.0, True)]):
        on_machine(search.trials[number], took_over, ready_s, served)
    [one] = reused(search)
    assert (one.trials, one.first_s, one.again_s, one.saved_s) == (4, 600.0, (40.0, 700.0), 560.0)
    assert one.saved_usd == pytest.approx(0.56)
    assert machines(search) == "2 trials took over the machine of the trial before; that saved 9 m 20 s and $0.560."


def test_where_no_machine_was_taken_over_nothing_is_said_to_be_saved() -> None:
    search = search_of(Figure(1, 0.9, 1.1))
    assert reused(search) == []
    on_machine(search.trials[0], False, 600.0)
    assert machines(search) == "No trial could take over one of 1 machine."


def test_a_trial_with_an_open_figure_does_not_hide_the_figure_of_a_shorter_one() -> None:
    search = search_of(Figure(2, 1.9, 2.1), Figure(3, 2.9, 3.1), shares=(1.0, 0.5))
    search.trials.append(Trial(2, "c-1", 1.0, "trials/c-1", "measured", figure=Figure(), reason="too few requests"))
    assert [one.candidate.name for one in ranking(search)] == ["c-0", "c-1"]
    search.trials.append(Trial(3, "c-1", 1.0, "trials/c-1", "measured", figure=Figure(1, 0.9, 1.1)))
    assert [one.candidate.name for one in ranking(search)] == ["c-1", "c-0"]
    search.trials.append(Trial(4, "c-1", 1.0, "trials/c-1", "missed"))
    assert [one.candidate.name for one in ranking(search)] == ["c-0"]
