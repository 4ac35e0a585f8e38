"""`fmload run`: deploy, prepare, load, analyse, report; of a run file, or of a URL and flags.

Its options, and the order in which it begins: what it does is in `measuring`, which is imported once Locust is on its
way in a process of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fmload.cli import described_options
from fmload.cli.arguments import positive
from fmload.exposition import watching
from fmload.launch.importing import locust_imported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("config", metavar="CONFIG|URL", nargs="?",
        help="a run file, the name of one that ships (quickstart), or the URL of a server to measure")
    add("--out", type=Path, metavar="DIR", help="results folder, used as it is; results/<name>-<UTC>/ when absent")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a key of the run file (repeatable)")
    add("--workers", type=positive, metavar="N", help="Locust workers on this host, in place of the run file's")
    add("--remote-workers", type=positive, metavar="N", help="wait for N workers of other hosts instead")
    add("--bind", default="0.0.0.0:5557", metavar="HOST:PORT", help="where remote workers connect (%(default)s)")
    add("--locustfile", type=Path, metavar="FILE",
        help="users that write what they send, for prompts of `source: scenario` (docs/scenarios.md)")
    add("--resume", action="store_true", help="go on with an interrupted run, in --out or in results/latest")
    add("--require-objectives", action="store_true", help="exit with 3 when no stage meets the objectives")
    add("--yes", action="store_true", help="do not ask before what costs money")
    watching.add_arguments(add)
    add("--keep", action="store_true", help="leave up what was deployed")
    described_options.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """The whole line, in order. Exit codes: 0 measured, 2 usage, 3 objectives, 4 nothing valid, 130 interrupted."""
    with locust_imported() as locust:
        from fmload.cli import measuring

        asked = measuring.checked(args)
        if not asked.varies:
            return measuring.measured(asked, locust)
    return measuring.searched(asked)  # each of its trials is a run of its own
