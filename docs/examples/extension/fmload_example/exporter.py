"""An exporter of live metrics: the last state of a run as a text file, when it has ended."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fmload.master.collector import Collector


def add_arguments(add: Callable[..., Any], prefix: str = "") -> None:
    add(f"--{prefix}text-file", default="", metavar="FILE", help="write the last live state here")


def to_master(args: argparse.Namespace) -> Sequence[str]:
    return ("--fmload-text-file", args.text_file) if args.text_file else ()


def start(options: argparse.Namespace, current: Callable[[], Collector | None]) -> Callable[[], None] | None:
    def write() -> None:
        collector = current()
        requests = sum(counts.requests for counts in collector.live.groups.values()) if collector else 0
        live = " ".join(sorted({name for counts in collector.live.groups.values() for name in counts.histograms})
                        ) if collector else ""
        Path(options.fmload_text_file).write_text(f"requests {requests}\nmetrics {live}\n")

    return write if options.fmload_text_file else None
