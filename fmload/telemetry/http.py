"""One answer over HTTP, of a limited size, in a limited time."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request

from fmload.base.errors import FmloadError
from fmload.telemetry.failures import failure, shown

PIECE = 64 * 1024


def fetched(request: urllib.request.Request, timeout_s: float, most_bytes: int) -> bytes:
    """The body. Raises HTTPError when the server refuses; FmloadError, which names the address, when nothing answers,
    the answer is cut off or not there after twice `timeout_s` (a server that drips would hold us for ever), or it is
    larger than `most_bytes`."""
    try:
        return _body(request, timeout_s, most_bytes)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        told = failure(error)
        raise FmloadError(f"{shown(request.full_url)}: {told.message}", told.hint) from error


def _body(request: urllib.request.Request, timeout_s: float, most_bytes: int) -> bytes:
    last = time.monotonic() + timeout_s
    body = bytearray()
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        while piece := answer.read1(PIECE):
            body += piece
            if time.monotonic() > last:
                raise TimeoutError
            if len(body) > most_bytes:
                raise FmloadError(f"{shown(request.full_url)}: the answer is larger than {most_bytes >> 20} MiB",
                                  "ask for fewer metrics")
        if answer.length:
            raise http.client.IncompleteRead(bytes(body), answer.length)
    return bytes(body)
