from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.statistics.intervals import wilson
from fmload_analysis.evaluate.agreement import (
    Agreement,
    between,
    cohen,
    fleiss,
    majority,
    of_panel,
    order_bias,
    settled,
)
from fmload_analysis.evaluate.intervals import bootstrap

CHOICES = st.sampled_from(["first", "second", "tie"])


def test_a_majority_is_more_than_half_of_the_votes_given() -> None:
    assert majority(["correct", "correct", "incorrect"]) == "correct"
    assert majority(["correct", "incorrect"]) is None
    assert majority(["a", "a", "b", "c"]) is None
    assert majority([]) is None
    assert majority(["incorrect"]) == "incorrect"


def test_cohens_kappa_of_a_worked_table() -> None:
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7; by chance 0.5 · 0.6 + 0.5 · 0.4 = 0.5
    found = cohen([("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15)
    assert (found.n, found.observed) == (50, 0.7) and found.kappa == pytest.approx(0.4)


def test_fleiss_kappa_of_the_published_example() -> None:
    # Ten subjects, fourteen raters, five categories (Fleiss 1971, as on Wikipedia): 0.210
    table = ["00 00 00 00 14", "0 2 6 4 2", "0 0 3 5 6", "0 3 9 2 0", "2 2 8 1 1", "7 7 0 0 0", "3 2 6 3 0",
             "2 5 3 2 2", "6 5 2 1 0", "0 2 2 3 7"]
    items = [[str(category) for category, count in enumerate(row.split()) for _ in range(int(count))] for row in table]
    assert fleiss(items).kappa == pytest.approx(0.210, abs=5e-4)


def test_there_is_no_kappa_without_items_or_without_two_kinds_of_verdicts() -> None:
    assert cohen([]) == fleiss([]) == Agreement(0, None, None)
    assert cohen([("y", "y")] * 3) == Agreement(3, 1.0, None)
    assert of_panel(["only"], [{"only": "y"}]) is None


def test_only_items_that_all_have_judged_are_compared() -> None:
    votes = [{"a": "y", "b": "y"}, {"a": "n", "b": "y", "c": "n"}, {"c": "y"}]
    assert {two: found.n for two, found in between(["a", "b", "c"], votes).items()} == {
        ("a", "b"): 2, ("a", "c"): 1, ("b", "c"): 1}
    together = of_panel(["a", "b", "c"], votes)
    assert together is not None and together.n == 1


def test_a_judge_that_never_spoke_is_no_part_of_the_panel() -> None:
    votes = [{"a": "y", "b": "y"}, {"a": "n", "b": "y"}]
    together = of_panel(["a", "mute", "b"], votes)
    assert together is not None and (together.n, together.observed) == (2, 0.5)
    assert list(between(["a", "mute", "b"], votes)) == [("a", "b")]
    assert of_panel(["a", "mute"], votes) is None


def test_a_choice_holds_when_it_follows_the_answer_to_the_other_place() -> None:
    assert settled("first", "second") == "first"
    assert settled("tie", "tie") == "tie"
    assert settled("first", "first") is None
    assert settled("first", "tie") is None


def test_order_bias_counts_what_changed_and_which_place_won() -> None:
    found = order_bias([("first", "second"), ("first", "first"), ("first", "first"), ("tie", "tie"),
                        ("second", "second")])
    assert (found.n, found.changed, found.first, found.second) == (5, 3, 2, 1)
    assert found.first_share == 5 / 8  # first: 1 + 2 + 2, second: 1 + 2
    assert order_bias([("tie", "tie")]).first_share is None


@given(st.lists(st.tuples(CHOICES, CHOICES), min_size=1))
def test_kappa_is_at_most_one_and_symmetric(pairs: list[tuple[str, str]]) -> None:
    found, turned = cohen(pairs), cohen([(b, a) for a, b in pairs])
    assert found.kappa is None or (found.kappa <= 1 and turned.kappa == pytest.approx(found.kappa))


def test_wilsons_interval_of_worked_shares() -> None:
    half, none = wilson(0.5, 10), wilson(0.0, 10)
    assert (half.low, half.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert none.low == 0.0 and none.high == pytest.approx(0.2775, abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_holds_the_share_and_stays_within_nothing_and_one(case: tuple[int, int]) -> None:
    found = wilson(case[0] / case[1], case[1])
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= case[0] / case[1] + 1e-12 and case[0] / case[1] - 1e-12 <= found.high <= 1


def test_the_bootstrap_resamples_prompts_and_is_repeatable() -> None:
    found = bootstrap([0.0, 1.0] * 50)
    assert found.low is not None and found.high is not None
    assert (found.low, found.high) == pytest.approx((0.4, 0.6), abs=0.03)  # 1.96 · 0.5 / √100 on both sides
    assert found == bootstrap([0.0, 1.0] * 50)
    assert bootstrap([0.5]).low is None
