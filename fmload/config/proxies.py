"""Proxies: the key `proxy` of an endpoint, and the variables that other programs obey.

HTTP_PROXY, HTTPS_PROXY and ALL_PROXY name one, in capitals or not; NO_PROXY the hosts that are asked directly: names,
with all names below them, addresses, networks (`10.0.0.0/8`), `*`. What is on this host is never asked through them.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from fmload.base.redaction import masked_url

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
    """The proxy that the variables name for a URL; None when there is none, or the host is asked directly."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    names = [f"{parts.scheme}_proxy", f"{parts.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
    if parts.scheme not in ("http", "https") or _is_here(host):
        return None
    proxy = next((environment[name].strip() for name in names if environment.get(name, "").strip()), None)
    excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if proxy is None or any(_covers(entry, host, parts.port) for entry in excepted.lower().replace(",", " ").split()):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY means this host."""
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    if address is not None:
        return _address(entry.strip("[]")) == address
    name, _, only = entry.partition(":")
    name = name.removeprefix("*").lstrip(".")
    return bool(name) and (not only or only == str(port)) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
