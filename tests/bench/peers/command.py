"""Other tools and fmload against servers that know the truth: errors of TTFT and ITL, CPU a token, by tool and load.

    python -m tests.bench peers --install DIR            # the tools, each in an environment of its own
    python -m tests.bench peers --tools DIR --out FILE   # the runs: under 15 minutes on two cores
    python -m tests.bench peers --page FILE              # docs/peers.md and its figure, from a result

The server has one core, the tool with all that it starts the others. Every tool sends the same number of requests,
streams at a time and lengths to the same server process; one after the other, in an order that the seed shuffles. A
tool that is not installed, stopped, or not taken to a higher load is a row that says so.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.peers import install, result, servers
from tests.bench.peers.measured import Row, measured, order, too_late
from tests.bench.peers.table import TOOLS
from tests.bench.peers.tool import Load
from tests.bench.wire import _prefer, cores

EMULATOR = ("--profile", "steady", "--ttft", "200ms", "--gap", "20ms", "--jitter", "0.1")
OUTPUT_TOKENS = {"emulator": 128, "llama.cpp": 64}
INPUT_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run: the tools' names, their environments, loads of each server, how often, and limits."""

    tools: Sequence[str]
    where: Path
    versions: Mapping[str, str | None]
    loads: Mapping[str, Sequence[Load]]
    repeats: Mapping[str, int]
    seed: int
    limit_s: float
    nice: int
    keep: Path | None


def main(argv: Sequence[str] | None = None) -> int:
    """Install, run, or write the page."""
    args = _arguments().parse_args(argv)
    if args.install:
        failed = install.install(args.install, args.only)
        print("\n".join(failed) or "all installed")
        return 1 if failed else 0
    if args.page:
        from tests.bench.peers import page

        page.write(result.read(args.page))
        return 0
    unknown = [name for name in args.only if name not in TOOLS]
    if unknown:
        raise SystemExit(f"no tool named {unknown[0]!r}; there are {', '.join(TOOLS)}")
    found = bench(_plan(args))
    result.write(found, args.out)
    print(f"{args.out}: {len(found.rows)} rows in {found.took_s:.0f} s")
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", type=Path, metavar="DIR", help="make the tools' environments there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page and the figure from this result")
    parser.add_argument("--tools", type=Path, default=Path(".peers"), metavar="DIR", help="the tools' environments")
    parser.add_argument("--out", type=Path, default=Path("peers.json"), metavar="FILE", help="the result")
    parser.add_argument("--only", type=_names, default=[], metavar="TOOL,…", help="of the tools (or packages) these")
    parser.add_argument("--streams", type=_numbers, default=[16, 128, 1024], help="against the emulator")
    parser.add_argument("--engine-streams", type=_numbers, default=[4], help="against llama.cpp; 0: leave it out")
    parser.add_argument("--rounds", type=int, default=3, help="requests of each stream; twice as many of llama.cpp's")
    parser.add_argument("--output-tokens", type=int, help="of an answer, in place of 128 and 64")
    parser.add_argument("--repeat", type=int, default=2, help="how often, against the emulator; llama.cpp once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=120.0, metavar="S", help="of one command")
    parser.add_argument("--nice", type=int, default=0, help="priority of server and tools, such as -10 (root)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what the tools wrote")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if int(number)]


def _plan(args: argparse.Namespace) -> Plan:
    names = args.only or list(TOOLS)
    loads = {server: [Load(streams, streams * rounds, INPUT_TOKENS, args.output_tokens or OUTPUT_TOKENS[server])
                      for streams in numbers]
             for server, numbers, rounds in (("emulator", args.streams, args.rounds),
                                             ("llama.cpp", args.engine_streams, 2 * args.rounds))}
    where = args.tools.absolute()
    return Plan(names, where, {name: install.version(TOOLS[name], where) for name in names}, loads,
                {"emulator": args.repeat, "llama.cpp": 1}, args.seed, args.limit, args.nice,
                args.keep.absolute() if args.keep else None)


def bench(plan: Plan) -> result.Result:
    """All runs on both servers."""
    own, _ = cores()
    began, at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), time.monotonic()
    machine = result.machine()
    allowed = os.sched_getaffinity(0)
    clients = allowed - {own} or {own}
    os.sched_setaffinity(0, {own})  # what watches runs beside the server
    try:
        rows = [row for name, loads in plan.loads.items() if loads for row in _served(plan, name, loads, clients)]
    finally:
        os.sched_setaffinity(0, allowed)
    told = {"emulator": f"fmload emulate {' '.join(EMULATOR)}",
            "llama.cpp": "its own server through xllamacpp, a random Llama of 512 × 6, one thread"}
    return result.Result(machine, plan.versions, told, plan.loads, plan.seed, plan.nice, began,
                         time.monotonic() - at, rows)


def _served(plan: Plan, name: str, loads: Sequence[Load], clients: set[int]) -> Iterator[Row]:
    """The rows of one server, which runs all the while."""
    with tempfile.TemporaryDirectory() as folder, _started(name, Path(folder), loads) as server:
        servers.pin(server.pid, cores()[0])
        _prefer(psutil.Process(server.pid), plan.nice)
        late: dict[str, int] = {}
        for repeat, load, tool in order(plan.tools, loads, plan.repeats[name], plan.seed):
            row = (_unmeasured(plan, name, tool, load, repeat, late)
                   or measured(tool, TOOLS[tool], install.programs_of(TOOLS[tool], plan.where), load, (name, server),
                               repeat, clients, plan.limit_s, plan.nice, plan.keep))
            if row.status == "ok" and not too_late(row):
                late.pop(tool, None)
            elif row.loaded_s is not None or row.status.startswith("stopped"):
                late.setdefault(tool, load.streams)
            print(_line(row), flush=True)
            yield row


def _started(name: str, folder: Path, loads: Sequence[Load]) -> AbstractContextManager[servers.Server]:
    if name == "emulator":
        return servers.emulated(folder, EMULATOR)
    return servers.engine(folder, max(load.streams for load in loads))


def _unmeasured(plan: Plan, server: str, tool: str, load: Load, repeat: int, late: Mapping[str, int]) -> Row | None:
    """The row of a tool that is not run, with the reason."""
    if plan.versions[tool] is None:
        return Row(server, tool, load.streams, repeat, "not installed")
    if (failed_at := late.get(tool, load.streams)) < load.streams:
        return Row(server, tool, load.streams, repeat, f"not run: too late at {failed_at} streams already")
    return None


def _line(row: Row) -> str:
    def pair(value: tuple[float, float] | None) -> str:
        return "–" if value is None else f"{value[0]:.3f}/{value[1]:.3f}"

    cpu = "–" if row.cpu_us_per_token is None else f"{row.cpu_us_per_token:.1f}"
    return (f"{row.server:<10}{row.tool:<17}{row.streams:>5} #{row.repeat}  TTFT {pair(row.ttft_ms)} "
            f"(its {pair(row.ttft_shift_ms)})  ITL {pair(row.itl_ms)} (its {pair(row.itl_shift_ms)})  CPU {cpu} µs  "
            f"{row.told}/{row.answered} in {row.command_s:.0f} s  {row.status}")
