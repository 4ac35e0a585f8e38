"""What a person asked for to watch runs from outside: the options of every exporter, and what the master starts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fmload.plugins import EXPORTERS

if TYPE_CHECKING:
    from fmload.master.collector import Collector


def checked(args: argparse.Namespace) -> list[str]:
    """The options of Locust's master for those of `fmload run`. Raises FmloadError for what cannot be had."""
    return [option for name in EXPORTERS.in_order() for option in EXPORTERS.load(name).to_master(args)]


def watch(options: argparse.Namespace, current: Callable[[], Collector | None]) -> Callable[[], None]:
    """Start what Locust's options ask for; returns what is to be called when a run has ended. Raises FmloadError."""
    endings = [EXPORTERS.load(name).start(options, current) for name in EXPORTERS.in_order()]

    def ended() -> None:
        for ending in filter(None, endings):
            ending()

    return ended


def add_arguments(add: Callable[..., Any], prefix: str = "") -> None:
    """The options of every exporter, for `fmload run` and, with a prefix, for Locust."""
    for name in EXPORTERS.in_order():
        EXPORTERS.load(name).add_arguments(add, prefix)
