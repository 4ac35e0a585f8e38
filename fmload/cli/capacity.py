"""`fmload capacity`: how many replicas a demand needs and what they cost, simulated from a run of one."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fmload.base.errors import EXIT_OBJECTIVES, EXIT_OK, Faults, FmloadError
from fmload.base.redaction import printable
from fmload.base.units import parse_duration_s

if TYPE_CHECKING:
    from rich.table import Table

    from fmload_analysis.capacity.answer import Answer, Asked
    from fmload_analysis.capacity.autoscale import Autoscale
    from fmload_analysis.capacity.trial import Tried
    from fmload_analysis.run import Run

TOLD_EVERY_S = 2.0
ROUTING = ("round_robin", "least_busy", "prefix_aware")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload capacity`."""
    add = parser.add_argument
    add("run", nargs="+", type=Path, metavar="RUN", help="results folders; each endpoint in them is an option")
    add("--demand", required=True, metavar="FILE|RATE", help="20/s, 10M/day, 1e9/day; a demand file (YAML), or a trace")
    add("--objective", action="append", default=[], metavar="NAME=LIMIT",
        help="such as ttft_p95=2s, in the place of the run's own; repeatable")
    add("--routing", choices=ROUTING, default="round_robin", help="which replica a request goes to (%(default)s)")
    add("--autoscale", metavar="MIN-MAX[,KEY=VALUE]", help="replicas by load: 2-40,target=0.6,startup=3m,cooldown=5m")
    add("--lose", type=_count, default=0, metavar="N", help="replicas that fail half-way and do not come back")
    add("--mtbf", type=_time, metavar="TIME", help="mean time between failures of one replica, such as 24h")
    add("--restart", type=_seconds, metavar="TIME", help="with --mtbf: until a failed replica is replaced (3m)")
    add("--detect", type=_seconds, metavar="TIME", help="for so long a failed replica still gets requests (0)")
    add("--per-token", action="append", default=[], metavar="MODEL",
        help="a model of the price table, to show what the demand costs by the token; repeatable")
    add("--endpoint", action="append", default=[], metavar="NAME", help="plan with these alone; repeatable")
    add("--seeds", type=_some, default=5, metavar="N", help="simulations of each fleet (%(default)s)")
    add("--seed", type=_count, default=1, metavar="N", help="the first of them (%(default)s)")
    add("--requests", type=_some, default=6000, metavar="N", help="of one simulation, about (%(default)s)")
    add("--simulate", type=_some, default=16, metavar="N",
        help="at most so many replicas of the smallest possible fleet are simulated; of larger fleets the same share "
             "(%(default)s)")
    add("--json", action="store_true", help="print capacity.json's content instead")
    add("--out", type=Path, metavar="FOLDER", help="where capacity.html and capacity.json go (the first RUN)")


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to 10,000,000")
    return value


def _some(text: str) -> int:
    if not _count(text):
        raise argparse.ArgumentTypeError("must be 1 at least")
    return _count(text)


def _seconds(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _time(text: str) -> float:
    if not _seconds(text):
        raise argparse.ArgumentTypeError("must be above 0")
    return _seconds(text)


def run(args: argparse.Namespace) -> int:
    """Write the plan, show it; 3 where no option keeps the objectives, else 0."""
    from fmload_analysis.capacity.answer import answer, as_json
    from fmload_analysis.capacity.page import write

    runs, asked = _asked(args)
    folder = _folder(args)
    found = answer(runs, asked, Progress())
    paths = write(folder, runs[0].name, found)
    if args.json:
        print(json.dumps(as_json(found), indent=1, ensure_ascii=False))
    else:
        _show(found, paths)
    return EXIT_OK if any(one.plan.best for one in found.options) or not found.options else EXIT_OBJECTIVES


def _folder(args: argparse.Namespace) -> Path:
    """Where the plan is written; made before the work begins. Raises FmloadError."""
    folder: Path = args.out or args.run[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FmloadError(f"cannot make the folder {folder}: {error.strerror}",
                          hint="name another with --out") from error
    return folder


def _asked(args: argparse.Namespace) -> tuple[list[Run], Asked]:
    """The runs and what is asked for. Raises FmloadError with all that is wrong in one pass."""
    from fmload_analysis.capacity.answer import Asked
    from fmload_analysis.capacity.demand_file import read_demand
    from fmload_analysis.capacity.fleet import RESTART_S
    from fmload_analysis.capacity.limits import objectives_of
    from fmload_analysis.capacity.trial import Settings
    from fmload_analysis.run import open_run

    faults, runs = Faults(), []
    spec = objectives = autoscale = None
    for path in args.run:
        with faults.kept():
            runs.append(open_run(path))
    with faults.kept():
        spec = read_demand(args.demand)
    with faults.kept():
        objectives = objectives_of((runs[0].spec.get("objectives") or {}) if runs else {}, args.objective)
    with faults.kept():
        autoscale = _autoscale(args.autoscale)
    _alone(args, faults)
    faults.check()
    assert spec is not None and objectives is not None
    settings = Settings(args.routing, autoscale, args.lose, args.mtbf,
                        RESTART_S if args.restart is None else args.restart, args.detect or 0.0, args.seeds, args.seed,
                        args.requests, args.simulate)
    return runs, Asked(spec, args.demand, *objectives, settings, tuple(args.endpoint), tuple(args.per_token))


def _alone(args: argparse.Namespace, faults: Faults) -> None:
    """Options that do nothing without another."""
    if args.restart is not None and not args.mtbf:
        faults.add(FmloadError("--restart: goes with --mtbf, which says how often a replica fails",
                               hint="for example --mtbf 24h --restart 3m"))
    if args.detect is not None and not args.mtbf and not args.lose:
        faults.add(FmloadError("--detect: goes with --mtbf or --lose, by which replicas fail",
                               hint="for example --lose 1 --detect 10s"))


def _autoscale(text: str | None) -> Autoscale | None:
    """`2-40,target=0.6,startup=3m,cooldown=5m`."""
    from fmload_analysis.capacity.autoscale import MOST_REPLICAS, Autoscale

    if text is None:
        return None
    limits, *pairs = text.split(",")
    least, _, most = limits.partition("-")
    faults = Faults()
    given: dict[str, float] = {}
    if not (least.isdecimal() and most.isdecimal() and 0 < int(least) <= int(most) <= MOST_REPLICAS):
        faults.add(_wrong(text, f"'{limits}' is not MIN-MAX, two numbers of replicas from 1 to {MOST_REPLICAS:,}, the "
                                "smaller one first"))
    keys = [pair.partition("=")[0] for pair in pairs]
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        faults.add(_wrong(text, f"'{key}' stands twice; keep one"))
    for pair in pairs:
        key, _, value = pair.partition("=")
        with faults.kept():
            given |= _setting(text, key, value)
    faults.check()
    return Autoscale(int(least), int(most), **given)


def _setting(text: str, key: str, value: str) -> dict[str, float]:
    from fmload_analysis.capacity.autoscale import LEAST_LOOK_S

    if key not in ("target", "startup", "cooldown", "look"):
        raise _wrong(text, f"unknown key '{key}'; known: target, startup, cooldown, look")
    try:
        number = float(value) if key == "target" else parse_duration_s(value)
    except ValueError as error:
        why = f"'{value}' is not a share of the slots, such as 0.6" if key == "target" else str(error)
        raise _wrong(text, f"{key}={value}: {why}") from error
    if key == "target" and not 0 < number <= 1:
        raise _wrong(text, f"{key}={value}: must be above 0, and 1 at most")
    if key == "look" and number < LEAST_LOOK_S:
        raise _wrong(text, f"{key}={value}: must be {LEAST_LOOK_S:g}s at least")
    return {key if key == "target" else f"{key}_s": number}


def _wrong(text: str, why: str) -> FmloadError:
    return FmloadError(f"--autoscale {text}: {why}",
                       hint="for example --autoscale 2-40,target=0.6,startup=3m,cooldown=5m")


class Progress:
    """What is being simulated, on stderr, every two seconds from the second on."""

    def __init__(self) -> None:
        self._told_s = time.monotonic()

    def __call__(self, said: str) -> None:
        if time.monotonic() - self._told_s >= TOLD_EVERY_S:
            self._told_s = time.monotonic()
            print(said, file=sys.stderr, flush=True)


def _show(found: Answer, paths: tuple[Path, Path]) -> None:
    """The headline, the options and the warnings on the terminal."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.text import Text

    from fmload_analysis.capacity.words import headline
    from fmload_analysis.document import formats

    console = Console(highlight=False)
    for sentence in headline(found):
        console.print(Markdown(printable(sentence)))
    console.print()
    console.print(_table(found))
    for option in found.options:
        name = printable(option.name)
        print(f"{name}: the model of one replica is {option.fitted.error:.1%} off what was measured, on average")
        for warning in (*option.fitted.warnings, *option.remarks):
            console.print(Text.assemble(("WARN ", "yellow"), f"{name}: {warning}"), soft_wrap=True)
    if found.unjudged:
        print(f"not judged: {formats.listed(found.unjudged)}")
    print(f"plan: {paths[0]}\n      {paths[1]}")


def _table(found: Answer) -> Table:
    """A column a fleet, a row a figure: options are few, and figures many."""
    from rich.markup import escape
    from rich.table import Table

    from fmload_analysis.capacity.words import option_name

    fleets: list[tuple[str, Tried | None, float | None, float | None]] = [
        (option_name(one), one.plan.best, one.month_usd, one.plan.best.replicas if one.plan.best else None)
        for one in found.options]
    fleets += [(f"{option_name(one)}, autoscaled", one.plan.scaled, one.scaled_month_usd, one.plan.paid_replicas)
               for one in found.options if one.plan.scaled]
    columns = [[escape(printable(title)), *_cells(tried, usd, replicas)] for title, tried, usd, replicas in fleets]
    columns += [[escape(printable(f"{one.name}, by the token")), "", _usd(one.usd_per_month)] for one in found.by_token]
    table = Table("", *(column[0] for column in columns), box=None)
    for number, name in enumerate(_ROWS, 1):
        table.add_row(name, *(column[number] if number < len(column) else "" for column in columns))
    return table


_STATISTICS = [f"{metric}_{stat}" for metric in ("ttft", "e2e") for stat in ("p50", "p95", "p99")]
_ROWS = ("replicas", "a month", *(name.upper().replace("_P", " p") for name in _STATISTICS), "utilisation",
         "objectives")


def _cells(tried: Tried | None, usd: float | None, replicas: float | None) -> list[str]:
    from fmload_analysis.capacity.words import count, kept, shown
    from fmload_analysis.document import formats

    if tried is None:
        return ["n/a", "n/a", *["n/a"] * len(_STATISTICS), "n/a", "no number keeps them"]
    return [formats.text(replicas, count), _usd(usd),
            *(shown(tried.figures[name], formats.duration) for name in _STATISTICS),
            formats.text(tried.figures["utilisation"].value, formats.percent), kept(tried)]


def _usd(usd: float | None) -> str:
    from fmload_analysis.document import formats

    return formats.text(usd, formats.usd)
