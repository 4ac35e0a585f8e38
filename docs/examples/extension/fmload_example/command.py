"""count the requests of a results folder

`fmload count FOLDER`: a command that uses the public API.
"""

from __future__ import annotations

import argparse

import fmload


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="a results folder")


def run(args: argparse.Namespace) -> int:
    print(f"{len(fmload.open_run(args.folder).requests)} requests")
    return 0
