"""The run file accepts the objectives that the analysis can judge, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config.objectives import broken, known_names, parse_objectives
from fmload_analysis.verdict.cost import PRICES


def judged(name: str, limit: Any) -> bool:
    try:
        parse_objectives({name: limit})
    except FmloadError:
        return False
    return True


NAMES = sorted({*known_names(), *PRICES, "ttft_p99.9", "e2e_min", "e2e_max"})


def test_every_name_that_can_be_judged_is_accepted_and_the_reverse() -> None:
    for name in NAMES:
        assert judged(name, 0), name
        assert not list(broken({name: 0})), name


@pytest.mark.parametrize("limit", ["800ms", "1%", 0, 2.5, "many", None, [1], True])
def test_what_is_accepted_can_be_judged(limit: Any) -> None:
    for name in NAMES:
        assert judged(name, limit) or list(broken({name: limit})), name


@pytest.mark.parametrize("name", ["ttft_p", "ttft_median", "e2e_p95_s", "error_rate_p95", "price", "itl", "", "p95"])
def test_both_refuse_the_same_names(name: str) -> None:
    assert list(broken({name: 0}))
    assert not judged(name, 0)
