"""A search over 48 candidates beside the grid, on simulated trials: is the best found, and in what part of the time?

    python -m tests.bench.stacks [--seeds 20] [--rounds 0.1,0.3,1]

The best is known by trials four times as long. A search has found it when its winner's true figure is within 2 % of
the best one's, or the best is among its ties.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from fmload.model.stack import StackSearch
from fmload.plugins import STRATEGIES
from fmload.stacks.driver import Driver, Limits
from fmload.stacks.strategy import Space
from fmload_analysis.stacks.ranking import ranking
from tests.simulated_trials import SimulatedBench, candidates, measured

SAME, TRUTH_WINDOWS = 0.02, 4


def main(argv: Sequence[str] | None = None) -> int:
    """Print the best, and a line a seed; returns 1 where one has not found it, or took a third of the grid's time."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stacks", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rounds", default="0.1,0.3,1", help="of halving")
    args = parser.parse_args(argv)
    rounds = [float(part) for part in args.rounds.split(",")]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        true = dict(pool.map(truth, [one.name for one in candidates()]))
        grid_s = sum(pool.map(grid_s_of, [one.name for one in candidates()]))
        best = min(true, key=lambda name: true[name])
        near = sum(value <= true[best] * (1 + SAME) for value in true.values())
        print(f"the best: {best}, {true[best]:.4g} USD per 1M; within 2 %: {near}; the grid's windows: {grid_s:,.0f} s",
              flush=True)
        wrong = 0
        for seed, (name, ties, spent_s, trials) in enumerate(pool.map(partial(searched, rounds), range(args.seeds))):
            found = true[name] <= true[best] * (1 + SAME) or best in ties
            wrong += not found or spent_s >= grid_s / 3
            print(f"seed {seed}: {name} {true[name] / true[best] - 1:+.1%}, {len(ties)} ties, {trials} trials, "
                  f"{spent_s / grid_s:.0%} of the grid{'' if found else ', NOT FOUND'}", flush=True)
    print(f"{args.seeds - wrong} of {args.seeds} found it in under a third of the grid's measuring time")
    return 1 if wrong else 0


def truth(name: str) -> tuple[str, float]:
    """The candidate's figure by a long trial."""
    one = next(one for one in candidates() if one.name == name)
    figure, *_ = measured(one, 1.0, 12345, window_s=120.0 * TRUTH_WINDOWS, within=0.01)
    assert figure.value is not None
    return name, figure.value


def grid_s_of(name: str) -> float:
    """Seconds of windows of one trial of the grid."""
    return measured(next(one for one in candidates() if one.name == name), 1.0, 0)[1]


def searched(rounds: list[float], seed: int) -> tuple[str, list[str], float, int]:
    """The winner, its ties, the seconds of all windows, and how many trials there were."""
    search = StackSearch("s", "price_per_1m_output_tokens", "halving", seed, candidates())
    kind = STRATEGIES.load("halving")
    strategy = kind(kind.Options(rounds=rounds), Space(search.candidates, True, seed))
    Driver(search, strategy, SimulatedBench(search), Limits(), lambda _: None).run()
    found = ranking(search)
    return (found[0].candidate.name, [one.candidate.name for one in found if one.tie],
            sum(trial.measured_s for trial in search.trials), len(search.trials))


if __name__ == "__main__":
    raise SystemExit(main())
