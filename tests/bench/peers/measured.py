"""One tool on one load: run, read, and laid beside the truth; and the order in which all are run."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.peers.errors import Errors, Pair, errors_of
from tests.bench.peers.servers import Served, Server
from tests.bench.peers.tool import Load, Place, Tool
from tests.bench.peers.tree import Ran, ran

TOO_LATE_MS = 1000.0  # beyond this p99 error of TTFT a tool is not taken to a higher load


@dataclass(frozen=True, slots=True)
class Row:
    """One tool on one load of one server, once. `status` is `ok`, or why there are no figures.

    Pairs are (p50, p99) in ms, see `errors.Errors`. CPU is of the whole process tree: `cpu_us_per_token` between the
    first request's arrival at the server and the last token's leaving, `command_cpu_s` from start to end. `others`:
    the share of the tool's cores that other processes had, from 0 to 1.
    """

    server: str
    tool: str
    streams: int
    repeat: int
    status: str
    ttft_ms: Pair | None = None
    ttft_shift_ms: Pair | None = None
    itl_ms: Pair | None = None
    itl_shift_ms: Pair | None = None
    itl_of: str = ""
    told: int = 0
    matched: int = 0
    answered: int = 0
    failed: int = 0
    tokens: int = 0
    input_tokens: float = 0.0
    in_flight: int | None = None
    loaded_s: float | None = None
    cpu_us_per_token: float | None = None
    others: float | None = None
    command_s: float = 0.0
    command_cpu_s: float = 0.0


def order(tools: Sequence[str], loads: Sequence[Load], repeats: int, seed: int) -> Iterator[tuple[int, Load, str]]:
    """Every tool on every load, again and again: loads from the lowest up, tools shuffled at each."""
    chance = random.Random(seed)
    for repeat in range(repeats):
        for load in sorted(loads, key=lambda one: one.streams):
            for name in chance.sample(list(tools), len(tools)):
                yield repeat, load, name


def measured(name: str, tool: Tool, programs: Path, load: Load, server: tuple[str, Server], repeat: int,
             cores: set[int], limit_s: float, nice: int = 0, keep: Path | None = None) -> Row:
    """Runs the tool and compares; what it wrote stays in `keep`, where that is given."""
    label, at = server
    with tempfile.TemporaryDirectory() as scratch:
        folder = (keep or Path(scratch)) / f"{label}-{_plain(name)}-{load.streams}-{repeat}"
        shutil.rmtree(folder, ignore_errors=True)  # what an earlier bench left would be read as this one's
        folder.mkdir(parents=True)
        at.served()
        command = tool.command(load, Place(at.url, at.model, at.tokenizer, at.counts, programs, folder))
        done = ran(command, folder, tool.environment, cores, limit_s, nice)
        served = at.served()
        status, errors = _told(tool, folder, done, served, limit_s)
    return _row(Row(label, name, load.streams, repeat, status), done, served, errors)


def _plain(name: str) -> str:
    return re.sub(r"\W+", "-", name).lower()


def _told(tool: Tool, folder: Path, done: Ran, served: Served, limit_s: float) -> tuple[str, Errors | None]:
    """The status, and the errors where the tool told anything; its exit code alone condemns nobody."""
    if done.code is None:
        return f"stopped after {limit_s:.0f} s", None
    try:
        seen = tool.read(folder)
    except (OSError, KeyError, ValueError, TypeError) as error:
        return f"exit code {done.code}, and no result to read ({type(error).__name__}): {_last_words(folder)}", None
    return ("ok", errors_of(seen, served.answers)) if seen else (f"told of no request: {_last_words(folder)}", None)


def _last_words(folder: Path) -> str:
    lines = (folder / "said.log").read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no word"


def _row(row: Row, done: Ran, served: Served, errors: Errors | None) -> Row:
    row = replace(row, answered=len(served.answers), failed=served.others, tokens=served.tokens,
                  input_tokens=served.input_tokens, in_flight=served.in_flight, command_s=done.lasted_s,
                  command_cpu_s=done.cpu_s)
    if served.span_ns is not None and served.tokens:
        begin, end = served.span_ns
        row = replace(row, loaded_s=(end - begin) / 1e9,
                      cpu_us_per_token=1e6 * done.cpu_between(begin, end) / served.tokens,
                      others=done.others_between(begin, end))
    if errors is None:
        return row
    return replace(row, ttft_ms=errors.ttft, ttft_shift_ms=errors.ttft_shift, itl_ms=errors.itl,
                   itl_shift_ms=errors.itl_shift, itl_of=errors.itl_of, told=errors.told, matched=errors.matched)


def ttft_p99_ms(row: Row) -> float | None:
    """The p99 error of TTFT: by request where requests could be told apart, else of the published percentile."""
    pair = row.ttft_ms or row.ttft_shift_ms
    return None if pair is None else abs(pair[1])


def too_late(row: Row) -> bool:
    """Whether the tool is not to be taken to a higher load."""
    error = ttft_p99_ms(row)
    return error is None or error > TOO_LATE_MS
