"""Serves the live metrics as Prometheus text from the master's own loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from gevent.pywsgi import WSGIServer
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric

from fmload.base.http_limits import limit
from fmload.exposition.families import families
from fmload.master.collector import Collector

logger = logging.getLogger(__name__)


class _Live:
    """What the registry asks at every scrape."""

    def __init__(self, current: Callable[[], Collector | None]) -> None:
        self._current = current

    def collect(self) -> Iterator[Metric]:
        return families(self._current())

    def describe(self) -> list[Metric]:
        """Nothing: else the registry would collect to learn the names."""
        return []


def registry_of(current: Callable[[], Collector | None]) -> CollectorRegistry:
    """A registry with the families of the run that `current` gives."""
    registry = CollectorRegistry()
    registry.register(_Live(current))
    return registry


def serve(current: Callable[[], Collector | None], host: str, port: int) -> WSGIServer | None:
    """Answer `/metrics` at `host`:`port` from now on. None, and a warning, where the port cannot be had: the load is
    more important than who watches it."""
    server = WSGIServer((host, port), make_wsgi_app(registry_of(current)), log=None, error_log=logger)
    limit(server)
    try:
        server.start()
    except OSError as error:
        logger.warning("no live metrics at %s:%d: %s", host, port, error.strerror or error)
        return None
    logger.info("live metrics: http://%s:%d/metrics", host, server.server_port)
    return server
