"""`fmload selftest`: the tokens and requests a second at which this machine's client still tells the truth."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import get_args

from rich.console import Console
from rich.table import Table

from fmload.base.cpus import usable_cpus
from fmload.base.errors import EXIT_OK, FmloadError
from fmload.selftest.ladder import REQUESTS, TOKENS, Ladder, Rung, climb
from fmload.selftest.whole_worker import cpu_us_per_token
from fmload.wire.exchange import ReaderChoice
from fmload.wire.reader import told

_LADDERS = {ladder.name: ladder for ladder in (TOKENS, REQUESTS)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--workers", default="", metavar="N,...",
                        help="client processes, such as 1,2,4; 1 and all cores but the emulator's when absent")
    parser.add_argument("--limit-ms", type=_above_0, default=1.0, metavar="MS",
                        help="a load holds while the client's TTFT and ITL are less than so many milliseconds off the "
                             "emulator's at p99 (%(default)g)")
    parser.add_argument("--seconds", type=_above_0, default=5.0, metavar="S",
                        help="for so long each load is measured (%(default)g)")
    parser.add_argument("--reader", choices=get_args(ReaderChoice), default="auto",
                        help="what receives the answers: native (C), python, or auto: native where it is installed")
    parser.add_argument("--only", choices=sorted(_LADDERS), help="tokens (long answers) or requests (of one token)")


def run(args: argparse.Namespace) -> int:
    """Climbs each ladder with each number of workers and prints what held."""
    workers = _workers(args.workers)
    console = Console()
    console.print(told(args.reader))
    for ladder in [_LADDERS[args.only]] if args.only else _LADDERS.values():
        rungs: list[Rung] = []
        for count in workers:
            with console.status("") as status:
                def show(rung: Rung, status=status, ladder=ladder) -> None:  # type: ignore[no-untyped-def]
                    status.update(f"{ladder.name}: {rung.workers} workers held {rung.users} users, trying more")

                status.update(f"{ladder.name}: {count} workers, {ladder.first} users")
                rungs += climb(ladder, count, args.limit_ms, args.seconds, show, args.reader)
        console.print(_table(ladder, rungs, args.limit_ms))
        console.print(*_conclusions(ladder, rungs, workers), sep="\n")
        alone = [rung for rung in rungs if rung.workers == workers[0]]
        rung = next((one for one in reversed(alone) if one.held), alone[0])
        with console.status(f"{ladder.name}: a whole worker, {rung.users // rung.workers} users"):
            whole_us = cpu_us_per_token(ladder, rung.users // rung.workers, args.seconds, args.reader)
        console.print(of_a_whole_worker(ladder, rung, whole_us), soft_wrap=True)
    return EXIT_OK


def of_a_whole_worker(ladder: Ladder, rung: Rung, whole_us: float) -> str:
    """What a worker of a run takes beside one of these processes: `whole_us` of CPU a token."""
    ours_us, theirs_us = ladder.tokens * rung.cpu_us_per_token, ladder.tokens * whole_us
    return (f"a worker of 'fmload run', {rung.users // rung.workers} users: {theirs_us:,.0f} µs of CPU a request "
            f"({ours_us:,.0f} in the process above, which does not journal, tell a master, count, or fire Locust's "
            f"events): a core of it is full at {1e6 / max(theirs_us, 1.0):,.0f} requests/s")


def _above_0(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def _workers(given: str) -> list[int]:
    if not given:
        return sorted({1, max(1, usable_cpus() - 1)})
    try:
        counts = [int(part) for part in given.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise FmloadError(f"--workers {given}: not numbers of processes", hint="for example --workers 1,2,4")
    return counts


def _table(ladder: Ladder, rungs: Sequence[Rung], limit_ms: float) -> Table:
    what = "one token each" if ladder.tokens == 1 else f"{ladder.gap_s * 1e3:g} ms a token"
    table = Table(title=f"{ladder.name}: {what}; a load holds while its error at p99 is under {limit_ms:g} ms")
    for column in ("workers", "users", "tokens/s", "requests/s", "TTFT p99 error ms", "ITL p99 error ms", "censored",
                   "CPU µs a token", "holds"):
        table.add_column(column, justify="right")
    for rung in rungs:
        table.add_row(str(rung.workers), str(rung.users), f"{rung.tokens_per_s:,.0f}", f"{rung.requests_per_s:,.0f}",
                      _ms(rung.ttft_p99_ms), _ms(rung.gap_p99_ms), f"{rung.censored_share:.1%}",
                      f"{rung.cpu_us_per_token:.1f}", "yes" if rung.held else "no")
    return table


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _conclusions(ladder: Ladder, rungs: Sequence[Rung], workers: Sequence[int]) -> list[str]:
    lines = []
    for count in workers:
        held = [rung for rung in rungs if rung.workers == count and rung.held]
        rate = (f"{held[-1].tokens_per_s:,.0f} tokens/s in {held[-1].requests_per_s:,.0f} requests/s" if held
                else "not even the first load held")
        lines.append(f"{count} worker{'s' if count > 1 else ''}: {rate}")
    return lines
