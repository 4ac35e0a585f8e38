"""`fmload init`: ask what to measure, or take it from flags, and write a commented run file that works."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fmload import config
from fmload.base.errors import EXIT_OK, FmloadError
from fmload.cli import described_options, flags
from fmload.launch.described import run_file
from fmload.launch.server import Unreached, looks_like_url
from fmload.launch.usual import SWEEP
from fmload.plugins import ENDPOINTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options. What is not given is asked for when there is a terminal to ask at."""
    add = parser.add_argument
    add("server", nargs="?", metavar="URL", help="the same as --url URL")
    described_options.add_arguments(parser)
    add("--out", type=Path, default=Path("run.yml"), metavar="FILE", help="default: run.yml")
    add("--from", dest="recipe", metavar="RECIPE", help="a run file that ships, to be changed (fmload help recipes)")
    add("--force", action="store_true", help="replace the file when it is there")


def run(args: argparse.Namespace) -> int:
    """Write the file, having checked that it loads, and say what comes next."""
    if args.out.exists() and not args.force:
        raise FmloadError(f"{args.out} is there already", hint="name another with --out, or replace it with --force")
    if args.server is not None:
        _take_server(args)
    if args.recipe:
        return _write(args.out, config.find(args.recipe).read_text(encoding="utf-8"), "deploy check")
    _ask_what_is_missing(args)
    asked = flags.as_described(args)
    try:
        asked = flags.completed(asked, print)
    except Unreached as error:
        if asked.model is None:
            raise
        print(f"the server was not asked: {error.message}")
    text = run_file(asked)
    config.parse(text, str(args.out), args.out.resolve().parent)
    return _write(args.out, text, "validate")


def _take_server(args: argparse.Namespace) -> None:
    if not looks_like_url(args.server):
        raise FmloadError(f"{args.server} is no URL", hint="a server: fmload init http://HOST:PORT/v1; a run file that "
                          f"ships: fmload init --from {args.server}; the file to write: --out {args.server}")
    flags.take_url(args, args.server)


def _write(out: Path, text: str, then: str) -> int:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FmloadError(f"{out}: {error.strerror}", hint="name another file with --out") from error
    print(f"wrote {out}; next:\n  fmload {then} {out}\n  fmload run {out}")
    return EXIT_OK


def _ask_what_is_missing(args: argparse.Namespace) -> None:
    """At a terminal, where nothing says what is to be measured. Raises FmloadError where there is none to ask at."""
    if args.url or args.endpoint_name or args.model:
        if args.protocol in (None, "openai") and not args.url:
            raise FmloadError("no --url given", hint="for example --url http://127.0.0.1:8000/v1")
        return
    if not sys.stdin.isatty():
        raise FmloadError("nothing to measure is named",
                          hint="give --url, or --protocol with --model or --endpoint-name")
    args.protocol = args.protocol or _ask(f"protocol ({', '.join(ENDPOINTS.names())})", "openai")
    if args.protocol == "openai":
        args.url = _ask("base URL", "http://127.0.0.1:8000/v1")
        args.model = _ask("model (empty: asked of the server)", "") or None
    elif args.protocol == "sagemaker":
        args.endpoint_name = _ask("endpoint name")
    else:
        args.model = _ask("model")
    args.concurrency = args.concurrency or _ask("users to sweep", ",".join(map(str, SWEEP)))
    args.instance_type = args.instance_type or _ask("instance type, for the price (may stay empty)", "") or None


def _ask(question: str, default: str | None = None) -> str:
    """The answer, or the default; asks again while there is neither."""
    while True:
        try:
            answer = input(f"{question}{f' [{default}]' if default else ''}: ").strip()
        except EOFError as error:
            raise FmloadError("the questions were not answered", hint="give flags: fmload init --help") from error
        if answer or default is not None:
            return answer or default or ""

