"""The truth log on disk."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from fmload.emulator.truth import Truth, TruthLog, read


def sample(number: int) -> Truth:
    return Truth(f"id-{number}", number, "/v1/completions", 10, 11, 12, array("q", [20, 2**62]), array("i", [1, 3]), 30,
                 5, 4, 0, 4, 200, "ok", "stall")


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    log = TruthLog(tmp_path / "truth")
    for number in range(3):
        log.append(sample(number))
    log.close()
    assert read(tmp_path / "truth") == [sample(number) for number in range(3)]


def test_a_log_grows_over_restarts(tmp_path: Path) -> None:
    for number in range(2):
        log = TruthLog(tmp_path / "truth")
        log.append(sample(number))
        log.close()
    assert [record.number for record in read(tmp_path / "truth")] == [0, 1]


@pytest.mark.parametrize("cut", [1, 7, 40, 120])
def test_a_torn_tail_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "truth"
    log = TruthLog(path)
    log.append(sample(0))
    log.append(sample(1))
    log.close()
    path.write_bytes(path.read_bytes()[:-cut])
    assert read(path) == [sample(0)]
