"""Proxies: the key `proxy` of an endpoint, and the variables that other programs obey.

HTTP_PROXY, HTTPS_PROXY and ALL_PROXY name one, in capitals or not; NO_PROXY the hosts that are asked directly: names,
with all names below them, and addresses, at every port or at one (`name:8443`); networks (`10.0.0.0/8`); `*`. What is
on this host is never asked through them.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from fmload.base.errors import FmloadError
from fmload.base.redaction import masked_url
from fmload.wire.url import split_proxy

DIRECT = "none"  # as a value of `proxy`: not through a proxy, whatever the variables say


def proxy_of(spec: Any) -> str | None:
    """The URL of an endpoint's proxy; None when it is asked directly."""
    given: str | None = spec.proxy
    return None if given in (None, DIRECT) else given


def with_proxies(run_file: Any, environment: Mapping[str, str] = os.environ) -> Any:
    """The `RunFile` with the variables' proxies as keys of its endpoints, so that all workers go the same way."""
    endpoints = [spec.model_copy(update={"proxy": found}) if (found := _found(spec, environment)) else spec
                 for spec in run_file.endpoints]
    return run_file.model_copy(update={"endpoints": endpoints})


def told(run_file: Any) -> Iterator[str]:
    """A sentence for each endpoint that is asked through a proxy."""
    for spec in run_file.endpoints:
        if proxy := proxy_of(spec):
            yield (f"endpoint '{spec.name}' is asked through the proxy {masked_url(proxy)}: its time is in every "
                   f"latency (proxy: {DIRECT} asks directly)")


def _found(spec: Any, environment: Mapping[str, str]) -> str | None:
    urls = spec.urls or ([spec.url] if spec.url else [])
    return None if spec.proxy or not urls else of_environment(urls[0], environment)


def of_environment(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The proxy that the variables name for a URL; None when there is none, or the host is asked directly.

    Raises FmloadError naming the variable whose value is the URL of no proxy.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    names = [f"{parts.scheme}_proxy", f"{parts.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
    if parts.scheme not in ("http", "https") or is_here(host):
        return None
    name = next((name for name in names if environment.get(name, "").strip()), None)
    excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if name is None or any(_covers(entry, host, port) for entry in excepted.lower().replace(",", " ").split()):
        return None
    proxy = environment[name].strip()
    proxy = proxy if ":/" in proxy else f"http://{proxy}"
    try:
        split_proxy(proxy)
    except FmloadError as error:
        raise FmloadError(f"the environment variable {name}: {error.message}", error.hint) from error
    return proxy


def is_here(host: str) -> bool:
    """Whether a host name or address means the host itself, whichever that is."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means this host."""
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, only = (entry, "") if _address(entry) else _split_port(entry)
    if only and only != str(port):
        return False
    if address is not None:
        return _address(name.strip("[]")) == address
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split_port(entry: str) -> tuple[str, str]:
    name, colon, port = entry.rpartition(":")
    return (name, port) if colon and port.isdigit() else (entry, "")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
