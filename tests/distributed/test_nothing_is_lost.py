"""The claim of `repeat.py`, once or twice; the script repeats it, with every fault, as often as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.distributed.faults import suffer


@pytest.mark.parametrize("number", [0, 1])
def test_every_request_that_ended_at_the_server_is_a_record(tmp_path: Path, number: int) -> None:
    found = suffer(tmp_path, "none", number)
    found.check()
    assert found.marks == set()
    assert set(found.exit_codes.values()) == {0}
    assert len(found.records) == len(found.finished) > 0
