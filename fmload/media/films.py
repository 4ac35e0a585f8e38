"""Video made by a seed: MP4 with H.264, by PyAV. Every frame is the picture before it, moved a little."""

from __future__ import annotations

import io
from typing import Any

from fmload.base.errors import FmloadError
from fmload.media import pictures

_STEP = 8  # pixels from one frame to the next


def video(width: int, height: int, seconds: float, fps: int, seed: str) -> bytes:
    """An MP4 of so many seconds, one frame at least; sides are rounded up to even numbers. Raises FmloadError without
    PyAV."""
    try:
        import av
    except ImportError as error:
        raise FmloadError("video is made with PyAV, which is not installed",
                          hint="pip install 'fmload[video]', on the host of every worker; or give files") from error
    width, height, frames = width + width % 2, height + height % 2, max(1, round(seconds * fps))
    wide = pictures.pixels(width + _STEP * min(frames, 64), height, "picture", seed)
    into = io.BytesIO()
    made: Any = av
    with made.open(into, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for place in range(frames):
            left = _STEP * (place % 64)
            frame = made.VideoFrame.from_ndarray(wide[:, left:left + width].copy(), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return into.getvalue()
