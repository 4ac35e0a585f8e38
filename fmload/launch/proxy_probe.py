"""What a proxy takes for itself, measured before the load: the audit tells it beside the latencies that hold it.

Nothing is asked around the proxy, nor of the server behind it: a connection to the proxy is timed (with its TLS), and
then a request that the proxy answers itself (OPTIONS with Max-Forwards: 0, RFC 9110), or the making of a tunnel.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import gevent

from fmload.base.errors import FmloadError
from fmload.base.redaction import masked_url
from fmload.config import RunFile
from fmload.config.proxies import proxy_of
from fmload.config.secrets import resolved
from fmload.model.proxy_time import ProxyTime
from fmload.wire.exchange import Address, Proxy, bracketed
from fmload.wire.opening import Opened, opened, opened_proxy
from fmload.wire.url import Way, split_proxy, split_url

TIMES = 5
LIMIT_S = 5.0  # for all of them


def proxy_times(run: RunFile) -> dict[str, dict[str, Any]]:
    """By endpoint: what the proxy that it is asked through takes, as JSON. Endpoints without a proxy are left out."""
    return {spec.name: asdict(_measured(spec)) for spec in run.endpoints if proxy_of(spec)}


def _measured(spec: Any) -> ProxyTime:
    found = ProxyTime(masked_url(str(proxy_of(spec))))
    try:
        spec = resolved(spec)
        proxy, urls = str(proxy_of(spec)), spec.urls or ([spec.url] if spec.url else [])
        ca_file = getattr(spec.options, "ca_file", None)
        address = split_url(urls[0], Way(ca_file, proxy=proxy))[0] if urls else None
        first = split_proxy(proxy, ca_file)
    except FmloadError:  # of this host alone: the workers have the variables
        return found
    connect_s = _median(lambda: opened_proxy(first, LIMIT_S))
    if address is None or connect_s is None:
        return replace(found, connect_s=connect_s)
    if address.is_tunnelled:
        return replace(found, connect_s=connect_s, tunnel_s=_median(lambda: opened(address, LIMIT_S)))
    answer_s = _median(lambda: opened_proxy(first, LIMIT_S), lambda way: _answer(way, address, first))
    return replace(found, connect_s=connect_s, answer_s=answer_s)


def _median(open_way: Callable[[], Opened], ask: Callable[[Opened], None] | None = None) -> float | None:
    """Seconds to open a way; with `ask`, to get an answer on a way that is open."""
    try:
        with gevent.Timeout(LIMIT_S):
            return statistics.median(_taken(open_way, ask))
    except (OSError, gevent.Timeout):
        return None


def _taken(open_way: Callable[[], Opened], ask: Callable[[Opened], None] | None) -> Iterator[float]:
    for _ in range(TIMES):
        begun = time.monotonic()
        way = open_way()
        try:
            if ask is not None:
                begun = time.monotonic()
                ask(way)
            yield time.monotonic() - begun
        finally:
            way.sock.close()


def _answer(way: Opened, address: Address, proxy: Proxy) -> None:
    """Wait for the first bytes of the proxy's own answer, whatever it says: many do not know the method."""
    host = f"{bracketed(address.host)}:{address.port}"
    lines = [f"OPTIONS http://{host}/ HTTP/1.1", f"Host: {host}", "Max-Forwards: 0", "Content-Length: 0",
             "Connection: close"]
    if proxy.login is not None:
        lines.append(f"Proxy-Authorization: {proxy.login.basic()}")
    way.say("\r\n".join([*lines, "", ""]).encode("latin-1"))
    if not way.hear():
        raise OSError("the proxy closed the connection")
