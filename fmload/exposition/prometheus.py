"""The exporter `prometheus`: serves live metrics at a port of the master."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fmload.base.errors import FmloadError

if TYPE_CHECKING:
    from fmload.master.collector import Collector

DEFAULT_HOST = "127.0.0.1"


def add_arguments(add: Callable[..., Any], prefix: str = "") -> None:
    """`--prometheus-port` and `--prometheus-host`."""
    add(f"--{prefix}prometheus-port", type=int, default=0, metavar="N",
        help="serve live metrics for Prometheus at this port while the run lasts")
    add(f"--{prefix}prometheus-host", default=DEFAULT_HOST, metavar="HOST",
        help="the address of that port; 0.0.0.0 opens it to other hosts")


def to_master(args: argparse.Namespace) -> Sequence[str]:
    """The options of Locust's master. Raises FmloadError when the port cannot be had."""
    if not args.prometheus_port:
        return ()
    _bindable(args.prometheus_host, args.prometheus_port)
    return ("--fmload-prometheus-port", str(args.prometheus_port), "--fmload-prometheus-host", args.prometheus_host)


def _bindable(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise FmloadError(f"--prometheus-port: {host}:{port} cannot be had: {error.strerror or error}",
                          hint="name another port") from error


def start(options: argparse.Namespace, current: Callable[[], Collector | None]) -> None:
    """Serve, when a port is given."""
    if options.fmload_prometheus_port:
        from fmload.exposition.server import serve

        serve(current, options.fmload_prometheus_host, options.fmload_prometheus_port)
