"""Quality beside price: right answers of each candidate, and what a right one costs."""

from __future__ import annotations

import pytest

from fmload.model.stack import Candidate, Figure, StackSearch, Trial
from fmload_analysis.document import markdown
from fmload_analysis.stacks.quality import qualities
from fmload_analysis.stacks.ranking import Ranked, ranking
from fmload_analysis.stacks.sections import sections

PROMPTS = [f"p-{number}" for number in range(200)]


def search_of(**right: list[str] | None) -> StackSearch:
    """Candidates c0, c1, …, c0 the default, each cheaper than the one before; `right`: the prompts answered right."""
    search = StackSearch("s", "price_per_1m_output_tokens", "grid", 0,
                         [Candidate(name, "c", {"kv": name}, name == "c0") for name in right])
    for number, (name, prompts) in enumerate(right.items()):
        price = 9.0 - number
        facts = {"price_per_transaction": price / 1000, "load": "4 users"}
        if prompts is not None:
            facts["graded"] = {prompt: float(prompt in prompts) for prompt in PROMPTS}
        figure = Figure(price, price, price)
        search.trials.append(Trial(number, name, 1.0, name, "measured", figure=figure, facts=facts))
    return search


def test_a_right_answer_costs_the_price_of_all_that_it_took() -> None:
    found = {one.candidate: one for one in qualities(*both(search_of(c0=PROMPTS, c1=PROMPTS[:50])))}
    assert found["c0"].usd_per_correct == pytest.approx(0.009)
    assert found["c1"].usd_per_correct == pytest.approx(0.008 / 0.25) and found["c1"].share == 0.25


def both(search: StackSearch) -> tuple[StackSearch, list[Ranked]]:
    return search, ranking(search)


def test_what_costs_accuracy_is_shown_prompt_by_prompt_against_the_default() -> None:
    worse, same = (qualities(*both(search_of(c0=PROMPTS[:180], c1=PROMPTS[:right])))[0] for right in (150, 179))
    assert worse.candidate == "c1" and worse.shared == 200 and worse.is_worse
    assert worse.difference == pytest.approx(-0.15)
    assert not same.is_worse


def test_the_default_is_not_compared_with_itself_and_what_was_not_judged_has_no_row() -> None:
    found = qualities(*both(search_of(c0=PROMPTS, c1=None)))
    assert [(one.candidate, one.difference) for one in found] == [("c0", None)]


def test_where_nothing_is_right_no_price_is_told() -> None:
    assert qualities(*both(search_of(c0=PROMPTS, c1=[])))[0].usd_per_correct is None


def test_the_page_says_that_the_cheaper_one_is_right_less_often() -> None:
    text = markdown.render("s", sections(search_of(c0=PROMPTS[:180], c1=PROMPTS[:150]), None))
    line = next(line for line in text.splitlines() if line.startswith("| c1 | 200"))
    assert "right less often" in line and "−15.0" in line and "0.0107" in line


def test_where_nothing_was_judged_there_is_no_such_section() -> None:
    assert "Quality beside price" not in markdown.render("s", sections(search_of(c0=None, c1=None), None))
