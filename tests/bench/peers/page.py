"""docs/peers.md and its figure from a result: `python -m tests.bench peers --page FILE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from tests.bench.peers.errors import Pair
from tests.bench.peers.measured import Row, ttft_p99_ms
from tests.bench.peers.result import Result
from tests.bench.peers.result import write as write_result
from tests.bench.peers.table import TOOLS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "peers.md"
FIGURE = ROOT / "docs" / "images" / "peers.svg"
KEPT = ROOT / "tests" / "recorded_peers" / "result.json"
BEGIN, END = "<!-- from tests/recorded_peers/result.json -->", "<!-- end -->"
ERRORS = "| TTFT error, ms | its percentile off by | ITL error, ms | its percentile off by |"
COSTS = "| CPU µs/token | command s | CPU s of it | requests |"
OURS = "fmload"
LIMIT_MS = 1.0
QUIET = 0.05  # of the tools' cores, had by others


def write(result: Result) -> None:
    """The part of the page between the marks, the figure, and the result that both are of."""
    from tests.bench.peers import figure

    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{told(result)}\n{END}{rest.partition(END)[2]}")
    figure.write(result, FIGURE)
    write_result(result, KEPT)


def told(result: Result) -> str:
    """The generated part: where, highest loads, all figures, where ours is not the best, the engine, definitions."""
    parts = [_where(result), _highest(result), "### Errors at every load\n", _grid(result, ERRORS, _errors),
             "### What each load cost\n", _grid(result, COSTS, _costs), "### Where fmload is not the best\n",
             "\n".join(_worse(result)) or "Nowhere in this result.", "\n### A real engine\n", _engine(result),
             "### What the server got\n", _got(result), "### What each one measures\n", _definitions(result)]
    return "\n".join(parts).rstrip()


def of(result: Result, server: str, tool: str, streams: int) -> list[Row]:
    """The rows of one tool on one load, one a repeat."""
    return [row for row in result.rows if (row.server, row.tool, row.streams) == (server, tool, streams)]


def middle(rows: Sequence[Row], figure: Callable[[Row], float | None]) -> float | None:
    """The median of a figure over the repeats that have it."""
    values = [value for row in rows if (value := figure(row)) is not None]
    return median(values) if values else None


def _where(result: Result) -> str:
    machine = result.machine
    versions = ", ".join(f"{TOOLS[name].package} {version}" for name, version in result.versions.items() if version)
    others = [row.others for row in result.rows if row.others is not None]
    absent = ", ".join(name for name, version in result.versions.items() if version is None)
    repeats = len({row.repeat for row in result.rows if row.server == "emulator"})
    return (f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}; "
            f"{result.began}, {result.took_s / 60:.0f} minutes, load average {machine['load_at_the_start']} before. "
            f"{repeats} {'repeats' if repeats > 1 else 'repeat'} against the emulator, one against llama.cpp, in an "
            f"order shuffled by seed {result.seed}; figures are medians of the repeats.\n\n"
            f"{_neighbours(others, result.nice)}{versions}.{f' Not installed: {absent}.' if absent else ''}\n")


def _neighbours(others: Sequence[float], nice: int) -> str:
    """What other processes had of the tools' cores while a load was on."""
    if not others:
        return ""
    before = f", which were preferred (nice {nice})," if nice else ""
    busy = " **The machine had other work: errors of every tool hold it.**" if median(others) > QUIET else ""
    return (f"Other processes had {median(others):.0%} of the tools' cores{before} in the median run, "
            f"{max(others):.0%} in the busiest.{busy}\n\n")


def _highest(result: Result) -> str:
    lines = [f"| tool | streams with a p99 error of TTFT ≤ {LIMIT_MS:g} ms | of ITL ≤ {LIMIT_MS:g} ms | tried up to |",
             "|---|---:|---:|---:|"]
    for tool in result.versions:
        tried = [load.streams for load in result.loads["emulator"]
                 if any(row.status == "ok" for row in of(result, "emulator", tool, load.streams))]
        most = f"{max(tried):,}" if tried else "not installed" if result.versions[tool] is None else "none"
        lines.append(f"| {tool} | {_kept(result, tool, ttft_p99_ms)} | {_kept(result, tool, itl_p99_ms)} | {most} |")
    return "\n".join(lines) + "\n"


def itl_p99_ms(row: Row) -> float | None:
    """The p99 error of the gaps; None where the tool keeps none of them."""
    pair = row.itl_ms or row.itl_shift_ms
    return None if pair is None or row.itl_of != "gaps" else abs(pair[1])


def _kept(result: Result, tool: str, error: Callable[[Row], float | None]) -> str:
    """The highest load up to which every repeat kept the limit."""
    best = 0
    for load in result.loads["emulator"]:
        rows = of(result, "emulator", tool, load.streams)
        values = [error(row) for row in rows]
        if not values or any(value is None or value > LIMIT_MS for value in values):
            break
        best = load.streams
    return f"{best:,}" if best else "–" if not _any(result, tool, error) else "none"


def _any(result: Result, tool: str, error: Callable[[Row], float | None]) -> bool:
    return any(error(row) is not None for row in result.rows if (row.server, row.tool) == ("emulator", tool))


def _grid(result: Result, heading: str, cells: Callable[[Sequence[Row]], str]) -> str:
    """A row a load and tool; what was not run says so in its first cell."""
    columns = heading.count("|") - 1
    lines = [f"| streams | tool {heading}", f"|---:|---{'|---' * columns}|"]
    for load in result.loads["emulator"]:
        for tool in result.versions:
            rows = of(result, "emulator", tool, load.streams)
            good = [row for row in rows if row.status == "ok"]
            told = cells(good) if good else f"{rows[0].status if rows else 'not run'}{' |' * (columns - 1)}"
            lines.append(f"| {load.streams:,} | {tool} | {told} |")
    return "\n".join(lines) + "\n"


def _errors(rows: Sequence[Row]) -> str:
    mean = " (means)" if rows[0].itl_of == "means" else ""
    return (f"{_pair(rows, lambda row: row.ttft_ms)} | {_pair(rows, lambda row: row.ttft_shift_ms, '+')} | "
            f"{_pair(rows, lambda row: row.itl_ms)}{mean} | {_pair(rows, lambda row: row.itl_shift_ms, '+')}")


def _costs(rows: Sequence[Row]) -> str:
    return (f"{_number(rows, lambda row: row.cpu_us_per_token)} | {_number(rows, lambda row: row.command_s)} | "
            f"{_number(rows, lambda row: row.command_cpu_s)} | {_requests(rows)}")


def _pair(rows: Sequence[Row], figure: Callable[[Row], Pair | None], sign: str = "") -> str:
    values = [middle(rows, lambda row, at=at: pair[at] if (pair := figure(row)) else None)  # type: ignore[misc]
              for at in (0, 1)]
    return " / ".join("–" if value is None else f"{value:{sign}.{_digits(value)}f}" for value in values)


def _digits(value: float) -> int:
    return 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else 0


def _short(value: float) -> str:
    return f"{value:.{3 if value < 0.1 else 2 if value < 1 else 1 if value < 100 else 0}f}"


def _number(rows: Sequence[Row], figure: Callable[[Row], float | None]) -> str:
    value = middle(rows, figure)
    return "–" if value is None else f"{value:.{1 if value < 100 else 0}f}"


def _requests(rows: Sequence[Row]) -> str:
    """How many it told of, by id known to be which; fewer than the server answered are said."""
    told, answered, matched = (sum(values) for values in zip(*((row.told, row.answered, row.matched) for row in rows),
                                                             strict=True))
    apart = "" if matched == told else f", {matched:,} by id"
    return f"{told:,}{f' of {answered:,}' if told != answered else ''}{apart}"


COMPARED: Sequence[tuple[str, Callable[[Row], float | None]]] = (
    ("p99 error of TTFT, ms", ttft_p99_ms), ("p99 error of ITL, ms", itl_p99_ms),
    ("CPU µs/token", lambda row: row.cpu_us_per_token), ("seconds of the command", lambda row: row.command_s),
    ("CPU seconds of the command", lambda row: row.command_cpu_s))


def _worse(result: Result) -> Iterator[str]:
    """A line a figure and load in which another tool has the better one."""
    for label, figure in COMPARED:
        for load in result.loads["emulator"]:
            values = {tool: value for tool in result.versions
                      if (value := middle([row for row in of(result, "emulator", tool, load.streams)
                                           if row.status == "ok"], figure)) is not None}
            ours = values.pop(OURS, None)
            better = sorted((value, tool) for tool, value in values.items() if ours is not None and value < ours)
            if better:
                others = ", ".join(f"{tool} {_short(value)}" for value, tool in better)
                yield f"- {label}, {load.streams:,} streams: {_short(ours or 0.0)}; {others}"


def _engine(result: Result) -> str:
    lines = ["| streams | tool | TTFT p50 / p99 off by, ms | mean ITL of a request, p50 / p99 off by, ms | requests |",
             "|---:|---|---|---|---|"]
    for load in result.loads["llama.cpp"]:
        for tool in result.versions:
            rows = of(result, "llama.cpp", tool, load.streams)
            good = [row for row in rows if row.status == "ok"]
            lines.append(
                f"| {load.streams} | {tool} | {_pair(good, lambda row: row.ttft_shift_ms, '+')} | "
                f"{_pair(good, lambda row: row.itl_shift_ms, '+')} | {sum(row.told for row in good)} |" if good else
                f"| {load.streams} | {tool} | {rows[0].status if rows else 'not run'} | | |")
    return "\n".join(lines) + "\n"


def _got(result: Result) -> str:
    """How far the loads were the same, by the emulator's log."""
    loads = result.loads["emulator"]
    streams = ", ".join(f"{load.streams:,}" for load in loads)
    lines = [f"| tool | tokens in | tokens out | most in flight at {streams} streams |",
             "|---|---:|---:|---|"]
    for tool in result.versions:
        rows = [row for row in result.rows if (row.server, row.tool) == ("emulator", tool) and row.answered]
        most = [max((row.in_flight or 0 for row in of(result, "emulator", tool, load.streams)), default=0)
                for load in loads]
        if rows:
            lines.append(f"| {tool} | {rows[0].input_tokens:.0f} | {rows[0].tokens / rows[0].answered:.0f} | "
                         f"{', '.join(f'{count:,}' if count else '–' for count in most)} |")
    return "\n".join(lines) + "\n"


def _definitions(result: Result) -> str:
    lines = ["| tool | its TTFT | its ITL | run as |", "|---|---|---|---|"]
    lines += [f"| {name} | {TOOLS[name].ttft} | {TOOLS[name].itl} | {TOOLS[name].source} |" for name in result.versions]
    return "\n".join(lines)

