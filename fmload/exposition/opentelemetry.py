"""The exporter `opentelemetry`: sends live metrics to a collector by OTLP."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmload.master.collector import Collector


def add_arguments(add: Callable[..., Any], prefix: str = "") -> None:
    """`--otlp-endpoint`."""
    add(f"--{prefix}otlp-endpoint", default="", metavar="URL",
        help="send live metrics to an OpenTelemetry collector, such as http://127.0.0.1:4318")


def to_master(args: argparse.Namespace) -> Sequence[str]:
    """The options of Locust's master. Raises FmloadError for an address that is none, or when the extra is missing."""
    if not args.otlp_endpoint:
        return ()
    from fmload.exposition.otlp import Exporter

    Exporter(lambda: None, args.otlp_endpoint)
    return ("--fmload-otlp-endpoint", args.otlp_endpoint)


def start(options: argparse.Namespace, current: Callable[[], Collector | None]) -> Callable[[], None] | None:
    """Send every few seconds, when an address is given; returns what sends once more."""
    if not options.fmload_otlp_endpoint:
        return None
    from fmload.exposition.otlp import Exporter

    exporter = Exporter(current, options.fmload_otlp_endpoint)
    exporter.start()
    return exporter.send
