"""The claim of `repeat.py`, twice; the script repeats it as often as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.distributed.repeat import one_run


@pytest.mark.parametrize("number", [0, 1])
def test_every_request_that_ended_at_the_server_is_a_record(tmp_path: Path, number: int) -> None:
    served, records = one_run(tmp_path, number)
    assert served == records > 0
