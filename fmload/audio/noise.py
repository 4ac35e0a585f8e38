"""Made-up sound: murmurs of a few tones that come and go as syllables do, over noise. There is no speech in it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fmload.audio import wav
from fmload.model.audio import Audio

STORE_S = 60  # of sound are made once a seed and rate; a piece is cut out of it, and goes round where it is longer
_SYLLABLE_S = 0.25
_TONES = 4
_LOUDEST = 12_000  # of 32767


def wav_of(audio: Audio) -> bytes:
    """The WAV of made-up sound: 16 bits, one channel."""
    store = _store(audio.seed, audio.rate)
    length, at, left, parts = 2 * audio.samples, 2 * audio.begin % len(store), 2 * audio.samples, list[bytes]()
    while left > 0:
        parts.append(store[at:at + left])
        left -= len(parts[-1])
        at = 0
    return wav.header(length, audio.rate) + b"".join(parts)


@lru_cache(8)
def _store(seed: str, rate: int) -> bytes:
    draw = np.random.default_rng(list(seed.encode()) or 0)
    count = STORE_S * rate
    syllables = round(STORE_S / _SYLLABLE_S)
    loud = np.repeat(draw.random(syllables) ** 2, -(-count // syllables))[:count]
    swell = loud * np.abs(np.sin(np.pi * np.arange(count) / (rate * _SYLLABLE_S)))
    pitch = np.repeat(draw.uniform(90, 250, syllables), -(-count // syllables))[:count]
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tones = sum(np.sin(phase * (n + 1)) / (n + 1) for n in range(_TONES)) / 2
    sound = _LOUDEST * (swell * tones + 0.03 * draw.standard_normal(count))
    return bytes(np.clip(sound, -32768, 32767).astype("<i2").tobytes())
