"""Whether something answers a health path."""

from __future__ import annotations

import urllib.error
import urllib.request

_LIMIT_S = 5.0


def healthy(url: str) -> bool:
    """True for any 2xx answer within five seconds."""
    try:
        with urllib.request.urlopen(url, timeout=_LIMIT_S) as answer:
            return bool(200 <= answer.status < 300)
    except (urllib.error.URLError, OSError):
        return False
