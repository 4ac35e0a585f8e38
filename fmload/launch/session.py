"""The start of a run, for `fmload run` and plain Locust alike: folder, lock, plan, prompts, and what is said before."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fmload.base.errors import FmloadError
from fmload.base.files import write_whole
from fmload.base.version import __version__
from fmload.config import RunFile, dump
from fmload.config.dumping import masked_argv
from fmload.launch import disk_room
from fmload.launch.proxy_probe import proxy_times
from fmload.master.spend import Spend
from fmload.model.stage import Stage
from fmload.plan.estimate import Estimate, estimate, prices_of, require_prices
from fmload.plan.estimate import approve as approved
from fmload.plan.stages import plan, remaining
from fmload.pricing.resolve import Pricing, Unpriced
from fmload.pricing.table import load_prices
from fmload.prompts import replay, store
from fmload.prompts.repeats import repeats
from fmload.results import stage_file
from fmload.results.folder import Results, new_results
from fmload.results.journal import contents
from fmload.results.lock import lock_folder
from fmload.search import planner

PREPARE_LIMIT_S = 3600.0

Prepare = Callable[[RunFile, Results], None]  # makes the prompt sets of a run file, in its results folder


@dataclass(slots=True)
class Session:
    """A run that may begin: its stages are planned, its prompts there, and its folder locked for this process."""

    run: RunFile
    results: Results
    stages: list[Stage]
    warnings: list[str]  # what is to be known before the load
    lock: IO[str]

    def close(self) -> None:
        """Leave the folder to the next run, of this process or another."""
        self.lock.close()


def open_folder(name: str, out: Path | None, *, resume: bool = False, beside: bool = False) -> Results:
    """The run's results folder, made: `out` as it is, or `results/<name>-<UTC>` without one.

    A folder that holds a run is gone on with (`resume`); `beside` takes the same name with -2, -3, … behind it, for the
    further runs of one process. Raises FmloadError for a folder that holds a run, that holds none to go on with, or one
    of a later version.
    """
    if out is None and not resume:
        return new_results(name)
    results = Results(out or Path("results/latest").resolve())
    if resume and not stage_file.exists(results):
        raise FmloadError(f"{results.root} holds no run to go on with",
                          hint="name the folder of the run that was interrupted, or leave --resume out")
    if resume:
        stage_file.read(results)  # a damaged or newer one is refused before anything is made
    if not resume and stage_file.exists(results):
        if not beside:
            raise FmloadError(f"{results.root} holds a run already",
                              hint="--resume goes on with it; or name another folder")
        results = _beside(results.root)
    return results.create()


def _beside(taken: Path) -> Results:
    number = 2
    while stage_file.exists(results := Results(Path(f"{taken}-{number}"))):
        number += 1
    return results


def begin(run: RunFile, results: Results, prepare: Prepare, *, resume: bool = False) -> Session:
    """Lock the folder, plan the stages, write run.yml and environment.json, have the prompts made.

    Raises FmloadError when another process holds the folder, and for what cannot be planned or prepared; the folder is
    free again then.
    """
    lock = lock_folder(results)
    try:
        stages = _stages(run, results, resume)
        write_whole(results.run_yml, dump(run))
        _write_environment(results, run)
        prepare_prompts(run, results, prepare)
        replay.bound_windows(stages, results)
        _count_exactly(run, stages, results)
        told = [*repeats(run, stages, results), *disk_room.told(run, stages, results)]
        return Session(run, results, stages, told, lock)
    except BaseException:
        lock.close()
        raise


def _count_exactly(run: RunFile, stages: list[Stage], results: Results) -> None:
    """The number of requests of stages that send each prompt of their set once."""
    specs = {spec.name: spec for spec in run.endpoints}
    for stage in stages:
        if stage.exact and stage.requests is None:
            prompts = store.read(results.prompts / f"{stage.prompt_set}.jsonl")
            stage.requests = len(store.of_endpoint(prompts, specs[stage.endpoint]))


def _stages(run: RunFile, results: Results, resume: bool) -> list[Stage]:
    if not resume:
        return plan(run)
    stages = stage_file.read(results).stages
    _refuse_others(run, results, stages)
    remaining(stages)
    return stages


def _refuse_others(run: RunFile, results: Results, stages: list[Stage]) -> None:
    """Raises FmloadError for stages of endpoints or prompt sets that the run file does not have."""
    known = {"endpoint": {spec.name for spec in run.endpoints}, "prompt_set": {spec.name for spec in run.prompts}}
    absent = [f"the {key.replace('_', ' ')} '{name}'" for key, names in known.items()
              for name in dict.fromkeys(getattr(stage, key) for stage in stages) if name not in names]
    if absent:
        raise FmloadError(f"the run in {results.root} is of {' and '.join(absent)}: not in this run file",
                          hint=f"go on with the run file that it began with: {results.run_yml}")


def estimate_of(run: RunFile, results: Results, stages: list[Stage],
                prices: Mapping[str, Pricing | Unpriced]) -> Estimate:
    """What the stages to come will cost, by the prompt sets that lie in the folder."""
    prompts = {spec.name: store.read(path) for spec in run.prompts
               if (path := results.prompts / f"{spec.name}.jsonl").exists()}
    return estimate(run, stages, {spec.name: prompts.get(spec.name, []) for spec in run.prompts}, prices,
                    planner.at_most(run, stages))


def approve(run: RunFile, results: Results, resume: bool, yes: bool, ask: Callable[[str], bool] | None) -> str:
    """Tell what the load will cost, and have its owner agree where that is needed (`pricing.estimate.approve`)."""
    prices = prices_of(run, load_prices(Path(run.prices) if run.prices else None))
    require_prices(run, prices)
    stages = _stages(run, results, resume)
    spend = Spend(prices, stages)
    spend.take(contents(results))
    return approved(estimate_of(run, results, stages, prices), run, yes, ask, spend.usd())


def prepare_prompts(run: RunFile, results: Results, prepare: Prepare) -> None:
    """Have the prompt sets made, unless they are there: a resumed run keeps those that it has."""
    if not prompts_made(run, results):
        prepare(run, results)


def prompts_made(run: RunFile, results: Results) -> bool:
    """Whether every prompt set lies in the folder: what it is made from is not needed then."""
    return all((results.prompts / f"{spec.name}.jsonl").exists() for spec in run.prompts)


def in_a_process(run: RunFile, results: Results) -> None:
    """`Prepare` in a process of its own: tokenizing would block the master's loop. Reads run.yml."""
    command = [sys.executable, "-P", "-m", "fmload", "prompts", str(results.run_yml), "--out", str(results.prompts)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PREPARE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise FmloadError(f"the prompts were not prepared within {PREPARE_LIMIT_S:.0f} s",
                          hint="ask for fewer or shorter ones (count); 'fmload run' has no limit") from error
    if done.returncode:
        raise FmloadError(f"the prompts could not be prepared: {done.stderr.strip().removeprefix('error: ')}")


def _write_environment(results: Results, run: RunFile) -> None:
    packages = {name: importlib.metadata.version(name) for name in ("locust", "gevent", "pyarrow", "msgpack")}
    write_whole(results.environment_json, json.dumps({
        "fmload": __version__, "python": platform.python_version(), "packages": packages, "host": platform.node(),
        "kernel": platform.release(), "cpus": os.cpu_count(), "argv": masked_argv(sys.argv),
        "emulated": {spec.name: spec.emulated for spec in run.endpoints if spec.emulated},
        "proxies": proxy_times(run),
        "started_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}, indent=1))
