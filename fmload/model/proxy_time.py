"""What a proxy between client and server takes for itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ProxyTime:
    """Medians before the load, in seconds; None where nothing came back in time, or nobody measured.

    `connect_s`: a connection to the proxy, with its TLS where it is an HTTPS proxy. `answer_s`: an answer of the
    proxy's own, the way included (plain HTTP). `tunnel_s`: connection and tunnel, the proxy's own connection to the
    server included (TLS to the server, and every SOCKS proxy).
    """

    proxy: str  # its URL, without user and password
    connect_s: float | None = None
    answer_s: float | None = None
    tunnel_s: float | None = None


def from_json(proxy: str, told: Any) -> ProxyTime:
    """Of an entry of environment.json, which may be anything; what is no time is None."""
    entry: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    return ProxyTime(proxy, *(_seconds(entry.get(name)) for name in ("connect_s", "answer_s", "tunnel_s")))


def _seconds(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if known else None
