"""A capacity plan held to real fleets: predicted from a run of one replica, beside 2, 4 and 8 that are measured.

    python -m tests.bench.capacity_plan [--engine emulator|llama] [--fleets 2 4 8] [--window 40] [--keep FOLDER]

Every replica is a process of its own: an emulator with its engine's batching, or llama.cpp's server with one thread on
a core of its own (fleets of 2, below saturation; a quiet machine with two cores or more). The same arrivals and lengths
are measured and simulated; beside it stands what is predicted from arrivals that are drawn anew, as a plan draws them.
One replica of a fleet of four emulators is killed, in both.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from fmload.metrics.definitions import NS
from fmload.model.stage import Stage
from fmload.search.knee import Point, knee_of
from fmload_analysis.capacity.demand import Demand, Window
from fmload_analysis.capacity.evidence import seen
from fmload_analysis.capacity.figures import Estimate, of_window, over_seeds, statistic
from fmload_analysis.capacity.fit import Fitted, fit
from fmload_analysis.capacity.fleet import Fleet, simulate
from fmload_analysis.capacity.replica import Job
from fmload_analysis.run import Run, open_run
from tests.bench import llama_replicas
from tests.load_rig import emulator, started, wait_until

PROFILE = "llama3-8b-g5.2xlarge"
Kill = Callable[[], None]


@dataclass(frozen=True)
class Engine:
    """What the replicas are: how so many are served (base URLs, and what kills the last one), and what is asked of
    them. `one`: requests a second of the run that the model is fitted to; `ladder`: shares of what a fleet holds for
    the most. `needs_quiet`: a stage is a run of its own, made again where its replicas waited for a core that other
    processes had."""

    serving: Callable[[Path, str, int], contextlib.AbstractContextManager[tuple[list[str], Kill]]]
    endpoint: Mapping[str, Any]
    prompts: Mapping[str, Any]
    one: Sequence[float]
    ladder: Sequence[float]
    fleets: Sequence[int]
    kills: bool
    needs_quiet: bool = False


@contextmanager
def _emulators(folder: Path, name: str, count: int) -> Iterator[tuple[list[str], Kill]]:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(emulator(folder, "--profile", PROFILE, "--seed", str(number),
                                                name=f"{name}-{number}")) for number in range(count)]
        yield [f"{server.url}/v1" for server in servers], servers[-1].process.kill


@contextmanager
def _llamas(folder: Path, name: str, count: int) -> Iterator[tuple[list[str], Kill]]:
    with llama_replicas.serving(folder, name, count) as urls:
        yield urls, lambda: None


ENGINES = {
    "emulator": Engine(_emulators, {"emulated": PROFILE}, {
        "input_tokens": {"kind": "lognormal", "mean": 200, "stddev": 150, "max": 1500},
        "output_tokens": {"mean": 40, "stddev": 20}}, (1, 4, 7, 9, 12), (0.4, 0.6, 0.8, 0.95, 1.1), (2, 4, 8), True),
    "llama": Engine(_llamas, {}, {
        "input_tokens": {"kind": "lognormal", "mean": 16, "stddev": 10, "max": 60},
        "output_tokens": {"mean": 32, "stddev": 12}, "exact_output": True},
        (0.6, 1.0, 1.6, 2.2), (0.4, 0.7), (2,), False, True)}
QUIET = 0.05  # of the time in which replicas have work they wait for a core on a machine of their own, at most
BELOW = 0.9  # of it is below saturation
FIGURES = ("ttft_p50", "ttft_p95", "e2e_p50", "e2e_p95", "requests_per_s")
SEEDS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one replica, fit, then measure and predict every fleet; 1 where a figure is more than 10 % off below
    saturation, or a knee more than a step."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.capacity_plan", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--engine", choices=ENGINES, default="emulator")
    parser.add_argument("--fleets", type=int, nargs="*", help="replicas; default: 2 4 8 emulators, 2 of llama.cpp")
    parser.add_argument("--rates", type=float, nargs="*", help="requests a second of the run of one replica")
    parser.add_argument("--window", type=int, default=40, help="seconds of a stage")
    parser.add_argument("--tries", type=int, default=4, help="of a stage, until the machine was quiet (llama)")
    parser.add_argument("--keep", type=Path, help="results go here, and are used again where they are there")
    args = parser.parse_args(argv)
    console = Console(width=140)
    with contextlib.ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(ENGINES[args.engine], folder, args.window, console, args.tries)
        fitted = bench.one(args.rates)
        fleets = bench.engine.fleets if args.fleets is None else args.fleets
        wrong = [line for count in fleets for line in bench.fleet(count, fitted)]
        wrong += bench.killed(fitted) if bench.engine.kills else []
    console.print("load averages of the machine at the end: " + ", ".join(f"{load:.1f}" for load in os.getloadavg()))
    for line in wrong:
        console.print(f"[red]{line}")
    return 1 if wrong else 0


@dataclass(frozen=True)
class Bench:
    """Where it is measured, and how long a stage is."""

    engine: Engine
    folder: Path
    window_s: int
    console: Console
    tries: int

    def one(self, rates: Sequence[float] | None) -> Fitted:
        """The model of one replica, fitted to its run."""
        runs = self._runs("one", 1, list(rates or self.engine.one))
        fitted = fit("fleet", [one for run in runs for one in seen(run, "fleet")])
        self.console.print(f"one replica: {fitted.model}\nthe fit is {fitted.error:.1%} off on average; it answers "
                           f"{fitted.most_per_s:.3g} requests/s at the most")
        for row in fitted.rows:
            self.console.print(f"  {row.load}: {row.figure} {row.measured:.3g}, refitted {row.refitted:.3g} "
                               f"({row.error:+.1%})")
        return fitted

    def _runs(self, name: str, replicas: int, rates: Sequence[float]) -> list[Run]:
        if not self.engine.needs_quiet:
            return [self._measured(name, replicas, rates)]
        return [self._quiet(f"{name}-{rate:g}", replicas, rate) for rate in rates]

    def _quiet(self, name: str, replicas: int, rate: float) -> Run:
        """One stage, measured until its replicas hardly waited for a core; the quietest try where none was quiet."""
        tried: dict[str, float] = {}
        for number in range(self.tries):
            again = f"{name}-{number}"
            self._measured(again, replicas, [rate])
            tried[again] = llama_replicas.waited(self.folder, again)
            if tried[again] <= QUIET:
                break
        best = min(tried, key=lambda one: tried[one])
        self.console.print(f"{name}/s: of the time in which they had work the replicas waited for a core "
                           f"{tried[best]:.1%} in the quietest of {len(tried)} tries; of that the model knows nothing")
        return open_run(self.folder / best)

    def _measured(self, name: str, replicas: int, rates: Sequence[float], kill_after_s: float | None = None) -> Run:
        """A run over so many replicas, all addresses of one endpoint, in turn; `kill_after_s`: one of them is killed
        so long after the first window's start."""
        out = self.folder / name
        if not (out / "stages.json").exists():
            with contextlib.ExitStack() as stack:
                urls, kill = stack.enter_context(self.engine.serving(self.folder, name, replicas))
                path = self._run_file(name, urls, rates)
                run = stack.enter_context(started(["-m", "fmload", "run", str(path), "--out", str(out), "--yes"],
                                                  self.folder, name))
                if kill_after_s is not None:
                    wait_until(run.in_window, 120, "the window")
                    time.sleep(kill_after_s)
                    (self.folder / f"{name}.killed").write_text(str(time.monotonic_ns()))
                    kill()
                run.wait(3600)
        return open_run(out)

    def _run_file(self, name: str, urls: Sequence[str], rates: Sequence[float]) -> Path:
        endpoint = {"name": "fleet", "protocol": "openai", "model": "m", **self.engine.endpoint,
                    **({"urls": list(urls)} if len(urls) > 1 else {"url": urls[0]})}
        prompts = {"name": "mixed", "source": "synthetic", "count": 2000, **self.engine.prompts}
        load = {"rate": list(rates), "arrivals": "poisson", "ramp": "0s", "warmup": "8s",
                "window": f"{self.window_s}s", "drain": "40s", "workers": 1}
        path = self.folder / f"{name}.yml"
        path.write_text(yaml.safe_dump({"name": name, "seed": 11, "endpoints": [endpoint], "prompts": [prompts],
                                        "load": load}))
        return path

    def fleet(self, count: int, fitted: Fitted) -> list[str]:
        """A fleet of so many replicas, measured and predicted; what is wrong with the prediction."""
        rates = [float(f"{share * count * fitted.most_per_s:.3g}") for share in self.engine.ladder]
        runs = self._runs(f"fleet-{count}", count, rates)
        table, wrong = _table(f"{count} replicas, requests in turn"), []
        late: list[str] = []
        points: dict[str, list[Point]] = {"measured": [], "predicted": []}
        for run, stage in ((one, stage) for one in runs for stage in one.stages):
            jobs, measured = _stage(run, stage)
            rate = float(stage.load.value)
            predicted = _replayed(fitted, Fleet(fitted.model, count), jobs, self.window_s)
            drawn = _drawn(fitted, count, rate, jobs)
            for figure in FIGURES:
                error = _add(table, f"{rate:g}/s", figure, measured[figure], predicted[figure], drawn[figure])
                below = rate < BELOW * count * fitted.most_per_s
                if below and figure in ("ttft_p95", "e2e_p95", "requests_per_s") and abs(error) > 0.1:
                    wrong.append(f"{count} replicas at {rate:g}/s: {figure} is {error:+.1%} off")
            for name, figures in (("measured", measured), ("predicted", predicted)):
                points[name].append(Point(rate, figures["requests_per_s"], figures["e2e_mean"]))
            table.add_section()
            late.append(f"{rate:g}/s {measured['late_p95'] * 1e3:.0f} ms")
        self.console.print(table)
        self.console.print(f"sent late by the client, p95: {', '.join(late)}")
        return wrong + (self._knees(points) if len(points["measured"]) > 2 else [])

    def _knees(self, points: Mapping[str, Sequence[Point]]) -> list[str]:
        rates = [point.load for point in points["measured"]]
        knees = {name: rates.index(knee_of(some)[0].load) for name, some in points.items()}
        self.console.print(f"knee: measured {rates[knees['measured']]:g}/s, predicted {rates[knees['predicted']]:g}/s")
        return ["the knee is more than a step off"] * (abs(knees["measured"] - knees["predicted"]) > 1)

    def killed(self, fitted: Fitted, count: int = 4) -> list[str]:
        """One of four is killed in the middle of the window; its address goes on to get requests, which fail."""
        run = self._measured("killed", count, [float(f"{0.55 * count * fitted.most_per_s:.3g}")], self.window_s / 2)
        stage = run.stages[0]
        rate = float(stage.load.value)
        jobs, measured = _stage(run, stage)
        at_s = (int((self.folder / "killed.killed").read_text()) - stage.window_start_ns) / NS - _ORIGIN_S
        fleet = Fleet(fitted.model, count, kill=((at_s, count - 1),), detect_s=1e9)
        predicted = _replayed(fitted, fleet, jobs, self.window_s)
        table = _table(f"{count} replicas, one killed {at_s + _ORIGIN_S:.1f} s into the window")
        wrong = []
        for figure in (*FIGURES, "error_rate"):
            error = _add(table, f"{rate:g}/s", figure, measured[figure], predicted[figure], None)
            wrong += [f"one killed: {figure} is {error:+.1%} off"] * (abs(error) > 0.1 and not figure.endswith("p50"))
        self.console.print(table)
        return wrong


_ORIGIN_S = -30.0  # of the simulation, on the window's line: before any load


def _stage(run: Run, stage: Stage) -> tuple[list[Job], dict[str, float]]:
    """All requests as they were sent, as jobs; and the figures of the window as measured, from sending on: a busy
    client that sends late is no part of the fleet. How late it was is told."""
    rows: dict[str, list[np.ndarray[Any, Any]]] = {}
    for batch in run.batches(stage):
        columns = batch.columns
        sent = np.where(np.isnan(columns.send_ns), columns.scheduled_ns, columns.send_ns) / NS
        parts = {"sent": sent, "late": sent - columns.scheduled_ns / NS,
                 "first": columns.first_token_ns / NS, "end": columns.end_ns / NS,
                 "tokens": batch.prompt_tokens, "told": columns.input_tokens, "limit": batch.max_output_tokens,
                 "ok": batch.outcome == "ok"}
        for name, values in parts.items():
            rows.setdefault(name, []).append(values)
    of = {name: np.concatenate(parts) for name, parts in rows.items()}
    order = np.argsort(of["sent"], kind="stable")
    of = {name: values[order] for name, values in of.items()}
    frame = float(np.nanmedian(of["told"] - of["tokens"]))  # what the chat's frame adds, where no count came back
    tokens = np.where(np.isnan(of["told"]), of["tokens"] + frame, of["told"])
    jobs = [Job(number, float(of["sent"][number]) - _ORIGIN_S, float(tokens[number]), max(1, int(of["limit"][number])))
            for number in range(len(order))]
    return jobs, _figures(of, (stage.window_end_ns - stage.window_start_ns) / NS)


def _figures(of: dict[str, np.ndarray[Any, Any]], window_s: float) -> dict[str, float]:
    inside = (of["sent"] >= 0) & (of["sent"] < window_s)
    good = inside & of["ok"]
    ended = of["ok"] & (of["end"] >= 0) & (of["end"] < window_s)
    found = {"requests_per_s": float(ended.sum()) / window_s, "late_p95": statistic(of["late"][inside], "p95"),
             "error_rate": float((inside & ~of["ok"]).sum() / inside.sum())}
    for name, values in (("ttft", of["first"] - of["sent"]), ("e2e", of["end"] - of["sent"])):
        found |= {f"{name}_{stat}": statistic(values[good], stat) for stat in ("mean", "p50", "p95")}
    return found


def _replayed(fitted: Fitted, fleet: Fleet, jobs: list[Job], window_s: float) -> dict[str, float]:
    outcome = simulate(fleet, jobs, window_s + 40 - _ORIGIN_S)
    return of_window(fitted.model, outcome, -_ORIGIN_S, window_s - _ORIGIN_S)


def _drawn(fitted: Fitted, count: int, rate: float, jobs: Sequence[Job]) -> dict[str, Estimate]:
    """What a plan would say of the rate and of these lengths: Poisson arrivals drawn by seeds."""
    lengths = (np.array([getattr(job, name) for job in jobs], dtype=float) for name in ("input_tokens", "steps"))
    demand = Demand("", np.array([0.0, 86400.0]), np.array([rate, rate]), *lengths)
    window = Window(0.0, 8 + 40)
    return over_seeds(list(_seeds(fitted, count, demand, window)))


def _seeds(fitted: Fitted, count: int, demand: Demand, window: Window) -> Iterator[dict[str, float]]:
    for seed in range(SEEDS):
        outcome = simulate(Fleet(fitted.model, count), demand.jobs(fitted.model, window, 1.0, seed), window.end_s)
        yield of_window(fitted.model, outcome, 8.0, window.end_s)


def _table(title: str) -> Table:
    table = Table(title=title)
    for column in ("load", "figure", "measured", "predicted", "off", "predicted, arrivals drawn anew"):
        table.add_column(column)
    return table


def _add(table: Table, load: str, figure: str, measured: float, predicted: float, drawn: Estimate | None) -> float:
    error = predicted / measured - 1 if measured else (0.0 if not predicted else float("inf"))
    anew = "" if drawn is None else f"{drawn.value:.3f} ({drawn.low:.3f} to {drawn.high:.3f})"
    table.add_row(load, figure, f"{measured:.3f}", f"{predicted:.3f}", f"{error:+.1%}", anew)
    return error


if __name__ == "__main__":
    raise SystemExit(main())
