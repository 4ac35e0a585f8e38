"""When the slots of a worker open over the ramp."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fmload.worker.slots import opening_s


@pytest.mark.parametrize("workers", [1, 3])
def test_slots_open_within_their_parts_of_the_ramp_and_not_in_even_steps(workers: int) -> None:
    whole = sorted(at for index in range(workers) for at in opening_s(8, 8.0, index, workers, f"seed/{index}"))
    part_s = 8.0 / (8 * workers)
    assert all(part_s * n <= at <= part_s * (n + 1) for n, at in enumerate(whole))
    steps = {round(after - before, 6) for before, after in pairwise(whole)}
    assert len(steps) > len(whole) / 2
    assert whole[0] == 0.0


def test_slots_of_equal_seeds_open_alike() -> None:
    assert opening_s(5, 2.0, 0, 1, "a") == opening_s(5, 2.0, 0, 1, "a") != opening_s(5, 2.0, 0, 1, "b")
