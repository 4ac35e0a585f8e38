from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload_analysis.evaluate.differences import differences, paired

SHARES = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=2, max_size=60)


def test_the_interval_of_a_worked_table() -> None:
    # 36 both right, 12 the first alone, 2 the second alone, none neither. Wilson: 48/50 is 0.8654 to 0.9890,
    # 38/50 is 0.6259 to 0.8570; the pairs' correlation is −24 / √(48 · 2 · 38 · 12).
    first, second = [1.0] * 48 + [0.0] * 2, [1.0] * 36 + [0.0] * 12 + [1.0] * 2
    difference, interval = paired(first, second)
    correlation = -24 / np.sqrt(48 * 2 * 38 * 12)
    down, up = (0.96 - 0.8654, 0.8570 - 0.76), (0.9890 - 0.96, 0.76 - 0.6259)
    reach = [np.sqrt(a * a - 2 * correlation * a * b + b * b) for a, b in (down, up)]
    assert difference == pytest.approx(0.2)
    assert (interval.low, interval.high) == pytest.approx((0.2 - reach[0], 0.2 + reach[1]), abs=2e-4)


def test_few_prompts_that_both_got_right_do_not_show_that_they_are_equal() -> None:
    difference, interval = paired([1.0] * 5, [1.0] * 5)
    assert difference == 0 and interval.low is not None and interval.high is not None
    assert interval.low < -0.3 and interval.high > 0.3


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    dice = np.random.default_rng(0)
    held = []
    for _ in range(2000):
        hard = dice.random(40)  # a hard prompt is hard for both
        first, second = (hard < 0.8).astype(float), (hard + dice.normal(0, 0.2, 40) < 0.6).astype(float)
        _, interval = paired(first.tolist(), second.tolist())
        held.append(interval.low <= TRUE <= interval.high)  # type: ignore[operator]
    assert 0.94 <= np.mean(held) <= 0.985


_DICE = np.random.default_rng(1)
TRUE = 0.8 - float(np.mean(_DICE.random(400_000) + _DICE.normal(0, 0.2, 400_000) < 0.6))


@given(SHARES)
def test_the_difference_turned_round_is_the_negative(pairs: list[tuple[float, float]]) -> None:
    first, second = [one for one, _ in pairs], [two for _, two in pairs]
    (one, ours), (two, theirs) = paired(first, second), paired(second, first)
    assert one == -two and ours.low is not None and theirs.high is not None
    assert ours.low == pytest.approx(-theirs.high, abs=1e-9) and ours.low <= one + 1e-9


def test_endpoints_are_compared_on_the_prompts_that_both_answered() -> None:
    correct = {("b", "p"): {"1": 1.0, "2": 0.0, "3": 0.0}, ("a", "p"): {"2": 1.0, "3": 1.0, "4": 0.0},
               ("a", "q"): {"1": 1.0, "2": 1.0}, ("c", "p"): {"4": 1.0}}
    only, = differences(correct)
    assert (only.prompt_set, only.first, only.second, only.n, only.difference) == ("p", "a", "b", 2, 1.0)
