"""The interval of a rate at the highest load that meets."""

from __future__ import annotations

import pytest

from fmload.stacks.figure import Ends, span


@pytest.mark.parametrize("own, missed, judged, wanted", [
    ((9.0, 11.0), [(8.0, 14.0)], True, (9.0, 14.0)),  # the highest load that meets may lie just below the miss
    ((9.0, 11.0), [(8.0, 10.0)], True, (9.0, 11.0)),  # a throughput that fell says nothing below
    ((9.0, 11.0), [(16.0, 20.0), (8.0, 14.0)], True, (9.0, 14.0)),  # the lowest that missed counts
    ((9.0, 11.0), [], True, (9.0, None)),  # nothing was shown to miss
    ((9.0, 11.0), [(8.0, None)], True, (9.0, None)),
    ((9.0, 11.0), [], False, (9.0, 11.0)),  # no objectives
    ((None, None), [(8.0, 14.0)], True, (None, None)),
])
def test_the_interval_holds_noise_and_bracket(own: Ends, missed: list[tuple[float, float | None]], judged: bool,
                                              wanted: Ends) -> None:
    assert span(own, missed, judged) == wanted
