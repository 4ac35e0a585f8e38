"""What a record says of sound: when the first of it came, how much, and whether playback would have run dry."""

from __future__ import annotations

import msgpack
import pytest

from fmload.model.record import COLUMNS, Record, pack, unpack
from fmload.wire.exchange import ReadMark
from fmload.worker.sound import stalls

MS = 1_000_000


def marks(*at_ms: float) -> list[ReadMark]:
    """A read each, of 100 bytes; 100 bytes are 100 ms of sound."""
    return [ReadMark(100 * (place + 1), round(ms * MS), 0, True) for place, ms in enumerate(at_ms)]


def played(*at_ms: float, buffer_bytes: int = 0) -> tuple[int, float]:
    dry, still_ns = stalls(marks(*at_ms), lambda end: (end - buffer_bytes) / 1000, len(at_ms) / 10)
    return dry, still_ns / MS


@pytest.mark.parametrize(("at_ms", "dry", "still_ms"), [
    ((0, 100, 200, 300), 0, 0),  # just in time
    ((0, 0, 0, 0), 0, 0),
    ((0, 150, 200, 300), 1, 50),  # then it is 50 ms behind, and the others are early
    ((0, 150, 300, 450), 3, 150),
    ((0, 10, 20, 1000), 1, 700),
    ((500, 600, 700), 0, 0),  # waiting for the first is no stall
    ((0,), 0, 0),
])
def test_playback_runs_dry_when_all_that_came_is_played(at_ms: tuple[float, ...], dry: int, still_ms: float) -> None:
    assert played(*at_ms) == (dry, still_ms)


def test_playback_begins_with_a_tenth_of_a_second_and_not_with_less() -> None:
    early = [ReadMark(10, 0, 0, True), ReadMark(20, 90 * MS, 0, True), ReadMark(400, 95 * MS, 0, True)]
    assert stalls(early, lambda end: end / 1000, 0.4) == (0, 0)


def test_a_sound_shorter_than_that_plays_once_it_is_whole() -> None:
    assert stalls([ReadMark(40, 0, 0, True), ReadMark(50, 900 * MS, 0, True)], lambda end: end / 1000, 0.05) == (0, 0)


def test_reads_that_bring_no_sound_do_not_count() -> None:
    found = [ReadMark(100, 0, 0, True), ReadMark(150, 90 * MS, 0, True), ReadMark(200, 200 * MS, 0, True)]
    assert stalls(found, lambda end: 0.1 if end < 200 else 0.2, 0.2) == (1, 100 * MS)


def test_sound_travels_and_records_of_schema_3_have_none() -> None:
    found = Record("r", "w", 0, "e", "s", "p", 1, audio_out_s=1.25, characters=20, first_output_ns=7, stalls=1,
                   stalled_ns=9)
    assert unpack(pack(found)) == found
    earlier = unpack(msgpack.packb(msgpack.unpackb(pack(found))[:COLUMNS.index("audio_in_s")]))
    assert (earlier.audio_out_s, earlier.characters, earlier.stalls, earlier.first_output_ns) == (None,) * 4
