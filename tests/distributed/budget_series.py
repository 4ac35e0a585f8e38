"""Does `max_cost` hold? A run over two workers, again and again, with limits, prices and paces drawn by its number.

    python -m tests.distributed.budget_series --times 20 --paid tokens
    python -m tests.distributed.budget_series --times 20 --paid hours

Each run has its own emulator. It has to end with exit code 6 and at most 1.02 × the limit spent, by the report, and to
go on with `--resume` under twice the limit, which must hold as well. Prints a line a run and a summary; exits with 1
when a limit was passed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from tests.load_rig import Run, emulator, run_file, started

MOST = 1.02  # of the limit
STOPPED = 6


@dataclass(frozen=True)
class Drawn:
    """One run: users or a rate, its pace, price and limit."""

    load: dict[str, Any]
    ttft_ms: int
    gap_ms: int
    output_tokens: int
    price: dict[str, float]
    limit_usd: float

    def __str__(self) -> str:
        level = next(f"{self.load[key][0]:3g} {unit}" for key, unit in (("concurrency", "users"), ("rate", "per s"))
                     if key in self.load)
        return f"{level}, {self.output_tokens:3d} tokens, TTFT {self.ttft_ms:3d} ms, limit {self.limit_usd:8.4f} USD"


def drawn(paid: str, number: int) -> Drawn:
    """The run of a number. Limits are small, so that stopping late by a moment shows: a few seconds of load."""
    dice = random.Random(f"{paid}{number}")
    users, ttft_ms, gap_ms = dice.choice((2, 6, 16)), dice.choice((20, 100, 400)), dice.choice((2, 10))
    tokens, lasts_s = dice.choice((5, 20, 60)), dice.uniform(4, 9)
    latency_s = (ttft_ms + gap_ms * tokens) / 1e3
    open_loop = dice.random() < 0.25
    rate = min(40.0, users / latency_s)
    load = {("rate" if open_loop else "concurrency"): [round(rate, 2) if open_loop else users], "ramp": "500ms",
            "warmup": "500ms", "window": "90s", "drain": "10s", "workers": 2}
    if paid == "hours":
        return Drawn(load, ttft_ms, gap_ms, tokens, {"hourly": 36.0}, round(0.01 * (lasts_s + latency_s), 4))
    each = (20 * 10.0 + tokens * 100.0) / 1e6
    limit = (rate if open_loop else users / latency_s) * lasts_s * each
    return Drawn(load, ttft_ms, gap_ms, tokens, {"input_per_1m": 10.0, "output_per_1m": 100.0}, round(limit, 4))


def spent_shares(folder: Path, one: Drawn) -> tuple[float, float]:
    """What was spent of the limit, and of twice the limit after going on. Raises AssertionError for a run that did not
    stop by its budget."""
    with emulator(folder, "--ttft", f"{one.ttft_ms}ms", "--gap", f"{one.gap_ms}ms") as server:
        path = run_file(folder, {"a": server.url}, one.load, max_cost=one.limit_usd)
        told = yaml.safe_load(path.read_text())
        told["endpoints"][0]["price"] = one.price
        told["prompts"][0]["output_tokens"] = one.output_tokens
        path.write_text(yaml.safe_dump(told))
        first = _spent(_ran(folder))
        more = _ran(folder, "--resume", "--set", f"max_cost={2 * one.limit_usd}")
        return first / one.limit_usd, _spent(more) / (2 * one.limit_usd)


def _ran(folder: Path, *options: str) -> Run:
    with started(["-m", "fmload", "run", str(folder / "run.yml"), "--out", str(folder / "out"), "--yes", *options],
                 folder) as run:
        assert run.wait() == STOPPED, run.output()
    return run


def _spent(run: Run) -> float:
    analysis = analyse_run(open_run(run.results.root))
    assert analysis.total_usd is not None
    return analysis.total_usd + (analysis.repeated_usd or 0.0)


def series(paid: str, numbers: Sequence[int]) -> list[tuple[float, float]]:
    """The shares of every run; a line a run."""
    shares = []
    for number in numbers:
        one = drawn(paid, number)
        with tempfile.TemporaryDirectory(prefix="fmload-budget-") as folder:
            shares.append(spent_shares(Path(folder), one))
        print(f"{paid} {number:2d}: {one}: spent {shares[-1][0]:.1%}, resumed {shares[-1][1]:.1%}", flush=True)
    return shares


def main() -> int:
    """The series; 1 when a limit was passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first number")
    parser.add_argument("--paid", choices=["tokens", "hours"], default="tokens")
    given = parser.parse_args()
    found = np.array(series(given.paid, range(given.first, given.first + given.times)))
    held = int((found <= MOST).all(axis=1).sum())
    print(f"{held} of {len(found)} held; spent {found.min():.1%} to {found.max():.1%} of the limit, median "
          f"{np.median(found):.1%}")
    return 0 if held == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
