"""The page docs/commands.md, made from the commands' own parsers: `python -m tests.commands_page` writes it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fmload.cli import HELP
from fmload.plugins import COMMANDS

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
_HEAD = """# Commands

Made from the commands' own help by `python -m tests.commands_page`. `fmload COMMAND --help` shows the same.

Exit codes: 0 measured, 2 usage or run file, 3 objectives not met (`--require-objectives`), 4 nothing measured or every
stage failed its audit, 5 the disk is full, 6 stopped by `max_cost`, 130 interrupted (records are kept; `--resume` goes
on).
"""


def page() -> str:
    """The whole page."""
    os.environ["COLUMNS"] = "100"
    return _HEAD + "".join(map(_section, COMMANDS.own()))


def _section(name: str) -> str:
    parser = argparse.ArgumentParser(prog=f"fmload {name}")
    COMMANDS.load(name).add_arguments(parser)
    return f"\n## fmload {name}\n\n{HELP[name][0].upper()}{HELP[name][1:]}.\n\n```text\n{parser.format_help()}```\n"


if __name__ == "__main__":
    PAGE.write_text(page())
