"""Images made by a seed: pixels, and the file of them as PNG, JPEG or WebP. Pure.

`picture` compresses as photographs do (coarse patches of colour that run into each other, and a grain of two grey
levels); `noise` does not compress at all: the largest file of its size.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Content = Literal["picture", "noise"]
Format = Literal["png", "jpeg", "webp"]
JPEG_QUALITY = 85
_PATCH = 64  # pixels from one colour to the next
_GRAIN = 2.0  # standard deviation, in levels of 256


def image(width: int, height: int, format: Format, content: Content, seed: str) -> bytes:
    """A file of such an image. The same arguments give the same pixels, and with one version of the encoder the same
    bytes."""
    made = pixels(width, height, content, seed)
    return png(made) if format == "png" else _by_pillow(made, format)


def pixels(width: int, height: int, content: Content, seed: str) -> Pixels:
    """Height × width × 3, red, green, blue."""
    draw = np.random.default_rng(np.frombuffer(seed.encode(), np.uint8))
    if content == "noise":
        return draw.integers(0, 256, (height, width, 3), np.uint8)
    corners = draw.integers(0, 256, (height // _PATCH + 2, width // _PATCH + 2, 3)).astype(np.float32)
    smooth = _between(_between(corners, height, 0), width, 1)
    smooth += draw.standard_normal(smooth.shape, np.float32) * _GRAIN
    found: Pixels = np.clip(smooth, 0, 255).astype(np.uint8)
    return found


def _between(corners: NDArray[np.float32], length: int, axis: int) -> NDArray[np.float32]:
    """Along one axis, so many values, on straight lines between the corners."""
    at = np.arange(length, dtype=np.float32) / _PATCH
    low = at.astype(np.int64)
    shape = [1, 1, 1]
    shape[axis] = length
    part = (at - low).reshape(shape).astype(np.float32)
    below, above = (np.take(corners, places, axis) for places in (low, low + 1))
    found: NDArray[np.float32] = below + (above - below) * part
    return found


def png(made: Pixels) -> bytes:
    """The pixels as a PNG; each row as its difference from the one above, which is what compresses."""
    height, width, _ = made.shape
    rows = made.copy()
    rows[1:] -= made[:-1]
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(
        b"IDAT", zlib.compress(filtered.tobytes(), 1)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _by_pillow(made: Pixels, format: Format) -> bytes:
    from PIL import Image

    into, options = io.BytesIO(), {"quality": JPEG_QUALITY}
    kept: Any = Image.fromarray(made, "RGB")
    kept.save(into, format.upper(), **options)
    return into.getvalue()
