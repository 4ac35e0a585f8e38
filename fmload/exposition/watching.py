"""What a person asked for to watch runs from outside: options, and what they start in the master."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable
from typing import Any

from fmload.base.errors import FmloadError
from fmload.master.collector import Collector

DEFAULT_HOST = "127.0.0.1"


def checked(args: argparse.Namespace) -> list[str]:
    """The options of Locust's master that stand for those of `fmload run`. Raises FmloadError for what cannot be had:
    a port in use, an address that is none, an extra that is missing."""
    options: list[str] = []
    if args.prometheus_port:
        _bindable(args.prometheus_host, args.prometheus_port)
        options += ["--fmload-prometheus-port", str(args.prometheus_port),
                    "--fmload-prometheus-host", args.prometheus_host]
    if args.otlp_endpoint:
        from fmload.exposition.otlp import Exporter

        Exporter(lambda: None, args.otlp_endpoint)
        options += ["--fmload-otlp-endpoint", args.otlp_endpoint]
    return options


def _bindable(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise FmloadError(f"--prometheus-port: {host}:{port} cannot be had: {error.strerror or error}",
                          hint="name another port") from error


def watch(options: argparse.Namespace, current: Callable[[], Collector | None]) -> Callable[[], None]:
    """Start what Locust's options ask for; returns what is to be called when a run has ended. Raises FmloadError."""
    if options.fmload_prometheus_port:
        from fmload.exposition.server import serve

        serve(current, options.fmload_prometheus_host, options.fmload_prometheus_port)
    if not options.fmload_otlp_endpoint:
        return lambda: None
    from fmload.exposition.otlp import Exporter

    exporter = Exporter(current, options.fmload_otlp_endpoint)
    exporter.start()
    return exporter.send


def add_arguments(add: Callable[..., Any], prefix: str = "", **more: dict[str, Any]) -> None:
    """The three options, for `fmload run` and, with a prefix and environment variables, for Locust."""
    add(f"--{prefix}prometheus-port", type=int, default=0, metavar="N", **more.get("port", {}),
        help="serve live metrics for Prometheus at this port while the run lasts")
    add(f"--{prefix}prometheus-host", default=DEFAULT_HOST, metavar="HOST", **more.get("host", {}),
        help="the address of that port; 0.0.0.0 opens it to other hosts")
    add(f"--{prefix}otlp-endpoint", default="", metavar="URL", **more.get("otlp", {}),
        help="send live metrics to an OpenTelemetry collector, such as http://127.0.0.1:4318")
