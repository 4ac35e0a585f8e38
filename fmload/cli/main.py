"""The `fmload` command line: finds the command, runs it, turns expected errors into messages and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fmload.base.descriptors import raise_limit, shortage
from fmload.base.errors import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_OK, EXIT_USAGE, FmloadError, refused_by_disk
from fmload.base.redaction import printable, redact_logs
from fmload.base.registry import did_you_mean
from fmload.base.version import __version__
from fmload.cli import HELP
from fmload.plugins import COMMANDS


def build_parser() -> argparse.ArgumentParser:
    """The top-level parser: the options before a command; the command's own are added when it is called."""
    parser = argparse.ArgumentParser(
        prog="fmload", description="Load-test foundation-model endpoints, and know that the numbers are right.",
        add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter, usage="fmload [--debug] COMMAND ...")
    parser.add_argument("-h", "--help", action="store_true", help="show this help message and exit")
    parser.add_argument("--version", action="version", version=f"fmload {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of expected errors")
    parser.add_argument("command", metavar="COMMAND", nargs="?")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. The exit codes are listed in the README."""
    redact_logs()
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.help or args.command is None:
        parser.epilog = f"commands:\n{_table()}\n\n'fmload COMMAND --help' tells more."
        parser.print_help()
        return EXIT_OK if args.help else EXIT_USAGE
    raise_limit()
    try:
        return _run(args.command, args.rest)
    except FmloadError as error:
        if args.debug:
            raise
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (OSError, MemoryError) as error:
        if args.debug:
            raise
        return _out_of_something(error)


def _out_of_something(error: OSError | MemoryError) -> int:
    """The last resort for what the operating system refuses: a message that names it, and the exit code."""
    if isinstance(error, BrokenPipeError):  # whoever read the output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    if isinstance(error, MemoryError):
        told = FmloadError("out of memory", "give the process more, or look at a smaller run", EXIT_INVALID)
    elif short := shortage(error):
        told = FmloadError(f"out of {short}", "raise the limit (ulimit -n), or use fewer at a time", EXIT_INVALID)
    else:
        told = refused_by_disk(error, str(error.filename or "the output"), "--debug shows where")
    print(f"error: {printable(str(told))}", file=sys.stderr)
    return told.exit_code


def _table() -> str:
    """The commands and what they are for; one of another distribution that cannot be loaded says why."""
    names = COMMANDS.in_order()
    width = max(map(len, names)) + 2
    return "\n".join(f"  {name:<{width}}{_help_or_why(name)}" for name in names)


def _help_or_why(name: str) -> str:
    try:
        return _help(name)
    except FmloadError as error:
        return printable(error.message)


def _help(name: str) -> str:
    """What a command is for, in a line; a command of another distribution says so itself."""
    return HELP.get(name) or (COMMANDS.load(name).__doc__ or name).strip().partition("\n")[0].rstrip(".")


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of a command's own options."""
    text = _help(name)
    parser = argparse.ArgumentParser(prog=f"fmload {name}", description=text[0].upper() + text[1:] + ".")
    COMMANDS.load(name).add_arguments(parser)
    return parser


def _meant(name: str) -> str:
    """What was probably meant by a word that is no command."""
    if "://" in name or name.endswith((".yml", ".yaml")):
        return f"; did you mean 'fmload run {name}'?"
    return did_you_mean(name, COMMANDS.names())


def _parsed(parser: argparse.ArgumentParser, rest: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Options may stand before, between and after what they are about: `deploy check --offline CONFIG`."""
    whole = (argparse.PARSER, argparse.REMAINDER)  # these take the rest as it is
    if any(action.nargs in whole for action in parser._actions):
        return parser.parse_known_args(rest)
    return parser.parse_known_intermixed_args(rest)


def _run(name: str, rest: list[str]) -> int:
    if name not in COMMANDS:
        print(f"fmload: unknown command '{name}'{_meant(name)}\nTry 'fmload --help'.", file=sys.stderr)
        return EXIT_USAGE
    module = COMMANDS.load(name)
    parser = parser_of(name)
    options, unknown = _parsed(parser, rest)
    if unknown:
        near = did_you_mean(unknown[0].partition("=")[0], list(parser._option_string_actions))
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
    return int(module.run(options) or 0)


if __name__ == "__main__":
    sys.exit(main())
