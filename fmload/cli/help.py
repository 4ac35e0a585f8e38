"""`fmload help`: the pages of the documentation, from the installed package, and the options of a command."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from fmload.base.errors import EXIT_OK, FmloadError
from fmload.base.registry import did_you_mean
from fmload.base.resources import resource
from fmload.plugins import COMMANDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="a page or a command; without one, what there is")


def run(args: argparse.Namespace) -> int:
    """Print the page, or the options of the command. Raises FmloadError for what is neither."""
    pages = topics()
    console = Console(highlight=False)
    if args.topic is None:
        console.print("pages: fmload help TOPIC", *(f"  {name:<16}{_title(path)}" for name, path in pages.items()),
                      "commands: fmload help COMMAND", f"  {', '.join(COMMANDS.in_order())}", sep="\n", soft_wrap=True)
    elif args.topic in pages:
        text = pages[args.topic].read_text(encoding="utf-8")
        console.print(Markdown(text) if console.is_terminal else text, soft_wrap=not console.is_terminal, markup=False)
    elif args.topic in COMMANDS:
        from fmload.cli.main import parser_of

        parser_of(args.topic).print_help()
    else:
        known = [*pages, *COMMANDS.names()]
        raise FmloadError(f"no page and no command is called '{args.topic}'{did_you_mean(args.topic, known)}",
                          hint=f"pages: {', '.join(pages)}")
    return EXIT_OK


def topics() -> dict[str, Path]:
    """The pages by their names, in alphabetical order."""
    return {path.stem: path for path in sorted(resource("docs").rglob("*.md")) if path.stem != "index"}


def _title(path: Path) -> str:
    return next((line.lstrip("# ").strip() for line in path.read_text(encoding="utf-8").splitlines()
                 if line.startswith("# ")), path.stem)
