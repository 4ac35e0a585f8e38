"""Which requests a fault strikes, and how it is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload.emulator.faults import KINDS, Fault, parse, pick


def test_short_forms_mean_what_they_say() -> None:
    assert parse("429:share=0.1,retry_after=2") == Fault("status", code=429, share=0.1, retry_after=2)
    assert parse("cut:after=5,how=fin,mid") == Fault("cut", after=5, how="fin", mid=True)
    assert parse("stall:after=3,for=1500ms") == Fault("stall", after=3, seconds=1.5)
    assert parse("ModelNotReadyException") == Fault("status", aws="ModelNotReadyException")
    assert parse("throttlingException:after=3") == Fault("error", aws="throttlingException", after=3)
    assert parse("never:at=0+7") == Fault("never", at=(0, 7))


def test_json_says_the_same() -> None:
    assert parse('{"kind": "cut", "after": 5, "mid": true}') == parse("cut:after=5,mid=1")


@pytest.mark.parametrize(("text", "word"), [("cutt:after=1", "cut"), ("cut:afte=1", "after"), ("cut:after=x", "x"),
                                            ("{", "JSON"), ("stall:for=3 parsecs", "parsecs"),
                                            ("cut:every=0", "less than 1"), ("cut:share=7", "between 0 and 1")])
def test_what_is_not_understood_is_named(text: str, word: str) -> None:
    with pytest.raises(FmloadError, match=word):
        parse(text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_short_form(kind: str) -> None:
    assert parse(kind).kind == kind


def test_by_count_by_number_and_by_period() -> None:
    struck = {text: [n for n in range(8) if parse(text).strikes(n, 0)]
              for text in ("cut:count=2", "cut:at=1+5", "cut:every=3", "cut")}
    assert struck == {"cut:count=2": [0, 1], "cut:at=1+5": [1, 5], "cut:every=3": [2, 5], "cut": list(range(8))}


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from([0.01, 0.1, 0.5]))
def test_a_share_strikes_that_share_and_the_same_requests_each_time(seed: int, share: float) -> None:
    fault = Fault("cut", share=share)
    struck = [fault.strikes(number, seed) for number in range(1000)]
    assert struck == [fault.strikes(number, seed) for number in range(1000)]
    assert sum(struck) / 1000 == pytest.approx(share, abs=0.09)  # beyond 5 standard deviations


def test_faults_of_a_list_are_drawn_independently_and_the_first_wins() -> None:
    faults = [Fault("cut", share=0.5), Fault("never", share=0.5)]
    kinds = [fault.kind if (fault := pick(faults, number, 1)) else None for number in range(4000)]
    assert kinds.count("cut") / 4000 == pytest.approx(0.5, abs=0.05)
    assert kinds.count("never") / 4000 == pytest.approx(0.25, abs=0.05)
