"""What bytes of sound play: from which byte on, until which, and how many seconds. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate


class NotSound(ValueError):
    """Bytes that cannot be the sound they should be; the message says why, without quoting them."""


class Short(NotSound):
    """Sound that ends before its own header says so."""


@dataclass(frozen=True, slots=True)
class Played:
    """Sound in a body. `first`, `last`: offsets at which its first and its last piece were complete; `seconds` of it,
    and how many `seconds_at` an offset (None: its form does not tell). `unplayed`: bytes after its end, which no player
    plays."""

    form: str
    first: int
    last: int
    seconds: float | None = None
    seconds_at: Callable[[int], float] | None = None
    unplayed: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes `begin` to `end` of whole sample frames of `frame_bytes`, `rate` of them a second."""

    begin: int
    end: int
    frame_bytes: int
    rate: int

    def seconds_at(self, offset: int) -> float:
        """Seconds of it in the first `offset` bytes."""
        return max(0, min(offset, self.end) - self.begin) // self.frame_bytes / self.rate


def of_stretches(form: str, stretches: Sequence[Stretch], unplayed: int = 0) -> Played | None:
    """Uncompressed sound; None where no whole sample is there."""
    some = [each for each in stretches if each.end - each.begin >= each.frame_bytes]
    if not some:
        return None
    begins, before = [each.begin for each in some], [0.0, *accumulate(each.seconds_at(each.end) for each in some)]

    def seconds_at(offset: int) -> float:
        place = bisect_right(begins, offset) - 1
        return before[place] + some[place].seconds_at(offset) if place >= 0 else 0.0

    last = some[-1].end
    return Played(form, some[0].begin + some[0].frame_bytes, last, seconds_at(last), seconds_at, unplayed)


def of_pieces(form: str, ends: Sequence[int], seconds: Sequence[float]) -> Played | None:
    """Compressed sound: the offset at which each piece was complete, and the seconds of all up to it; None for none."""
    if not ends:
        return None

    def seconds_at(offset: int) -> float:
        place = bisect_right(ends, offset)
        return seconds[place - 1] if place else 0.0

    return Played(form, ends[0], ends[-1], seconds[-1], seconds_at)


def pcm(length: int, rate: int, channels: int) -> Played | None:
    """16-bit samples without a header, as OpenAI's `pcm` is."""
    whole = length - length % (2 * channels)
    return of_stretches("pcm", [Stretch(0, whole, 2 * channels, rate)])
