"""The bytes of sound that prompts have recipes of: recordings are read before the load and held, made-up sound is cut
out of one store."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from fmload.audio import lengths, noise
from fmload.audio.lengths import TYPES
from fmload.audio.played import NotSound
from fmload.base.errors import FmloadError
from fmload.model.audio import Audio

MOST_HELD_BYTES = 1 << 30  # of recordings, in one worker
_AGREE_S = 0.2
_ANEW = "have the same files on the host of every worker, and begin a new run"


class Sounds:
    """What one process holds: each recording once, whatever sends it."""

    def __init__(self, most: int = MOST_HELD_BYTES) -> None:
        self._most, self._held = most, dict[str, bytes]()
        self.held_bytes = 0
        self._lock = threading.Lock()

    def ready(self, audio: Audio) -> None:
        """Have the bytes at hand, before the load. Raises FmloadError for a file that is gone, or too much of them."""
        if audio.path is None:
            noise.wav_of(audio)
            return
        with self._lock:
            if audio.path not in self._held:
                self._keep(audio.path, audio.seconds)

    def _keep(self, path: str, seconds: float) -> None:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise FmloadError(f"{path}: {error.strerror}",
                              hint="recordings lie at the same path on the host of every worker") from error
        if self.held_bytes + len(content) > self._most:
            raise FmloadError(f"more than {self._most >> 20} MiB of recordings in one worker",
                              hint="fewer of them (count), shorter ones, or more workers")
        require_length(path, content, seconds)
        self._held[path] = content
        self.held_bytes += len(content)

    def of(self, audio: Audio) -> bytes:
        """The bytes of a file, or of a WAV."""
        if audio.path is None:
            return noise.wav_of(audio)
        self.ready(audio)
        return self._held[audio.path]


def require_length(path: str, content: bytes, seconds: float) -> None:
    """Raises FmloadError for a file that is not the one of which the prompt was made: by its length, where it tells."""
    try:
        played = lengths.read(content)
    except NotSound as error:
        raise FmloadError(f"{path}: {error}", hint=_ANEW) from error
    if played is not None and played.seconds is not None and abs(played.seconds - seconds) > _AGREE_S + 0.02 * seconds:
        raise FmloadError(f"{path}: plays {played.seconds:.4g} s here, and {seconds:.4g} s where the prompts were made",
                          hint=_ANEW)


@cache
def sounds() -> Sounds:
    """This process's."""
    return Sounds()


def kind_of(audio: Audio) -> tuple[str, str]:
    """The end of a file's name, and its type: `.wav`, `audio/wav`."""
    suffix = ".wav" if audio.path is None else Path(audio.path).suffix.lower()
    return suffix, TYPES.get(suffix, "application/octet-stream")
