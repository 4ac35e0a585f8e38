"""`fmload run` and `fmload validate` of a run file whose endpoints vary: the search over its candidates."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from fmload.base.errors import EXIT_INVALID, EXIT_OBJECTIVES, EXIT_OK, FmloadError
from fmload.base.signals import as_interrupts
from fmload.base.units import format_duration
from fmload.config import RunFile, dump
from fmload.config.stacks import StacksSpec, default
from fmload.launch.trials import Trials, expected_of, most_of
from fmload.model.stack import Found, StackSearch
from fmload.plan.estimate import prices_of, require_prices
from fmload.plugins import STRATEGIES
from fmload.pricing.table import load_prices
from fmload.results import search_file
from fmload.results.folder import Results, new_results
from fmload.results.lock import lock_folder
from fmload.stacks.candidates import Stack, stacks_of, trial_run
from fmload.stacks.driver import Cost, Driver, Limits, cost_of
from fmload.stacks.strategy import Ask, Space, Strategy

if TYPE_CHECKING:
    from fmload_deploy.machines import Machines


def run(args: argparse.Namespace, run_file: RunFile, say: Callable[[str], None]) -> int:
    """Search to the end, or to a limit; the report is there after every trial."""
    for given, name in ((args.remote_workers, "--remote-workers"), (args.keep, "--keep")):
        if given:
            raise FmloadError(f"{name} does not go with vary: every trial is stood up and taken down on this host")
    if args.workers:
        run_file = run_file.model_copy(update={"load": run_file.load.model_copy(update={"workers": args.workers})})
    stacks = stacks_of(run_file)
    spec, results = run_file.stacks or default(), _folder(run_file, args)
    search = _search(run_file, spec, stacks, results, args.resume)
    strategy = _strategy(spec, search)
    _prices(run_file, stacks)
    told = _approved(args, run_file, spec, stacks, strategy)
    say(told)
    with lock_folder(results):
        results.run_yml.write_text(dump(run_file), encoding="utf-8")
        machines = machines_for(results.root, spec.at_once)
        bench = Trials(results.root, run_file, stacks, partial(_read, by=spec.by), startup_s, billed_usd, machines)
        bench.settled(search.trials)
        limits = Limits(spec.at_once, run_file.max_cost, spec.max_time_s)
        with as_interrupts():
            try:
                Driver(search, strategy, bench, limits, partial(_saved, results, say, machines)).run()
            finally:
                try:
                    bench.end()
                finally:
                    _settle(search, machines)
                    search_file.write(results.root, search)
                    _report(results)
    return _told(results, search, args.require_objectives)


def machines_for(root: Path, most: int) -> Machines:
    """The machines of a search, which its trials take over from one another."""
    from fmload_deploy import lifecycle
    from fmload_deploy.condition import watched
    from fmload_deploy.lease import renewing
    from fmload_deploy.machines import Hands, Machines

    @contextmanager
    def watching(context: Any) -> Iterator[None]:
        with renewing(context), watched(context):
            yield

    return Machines(root, most, Hands(lifecycle.context_for, lifecycle.context_of, lifecycle.look_before, lifecycle.up,
                                      lifecycle.down, watching))


def _settle(search: StackSearch, machines: Machines) -> None:
    """What machines have cost that no trial was charged."""
    charged = sum(trial.facts.get("machine_usd", 0.0) for trial in search.trials if trial.over)
    running = any(not trial.over for trial in search.trials)
    spent = machines.spent_usd()
    if spent is not None and not running:
        search.idle_usd = max(0.0, spent - charged)


def _folder(run_file: RunFile, args: argparse.Namespace) -> Results:
    if args.out is None and not args.resume:
        return new_results(run_file.name)
    root = args.out or Path("results/latest").resolve()
    if search_file.exists(root) != args.resume:
        raise FmloadError(f"{root} holds {'no search to go on with' if args.resume else 'a search already'}",
                          hint="leave --resume out, or name its folder" if args.resume else
                          "--resume goes on with it; or name another folder")
    return Results(root).create()


def _search(run_file: RunFile, spec: StacksSpec, stacks: Sequence[Stack], results: Results,
            resume: bool) -> StackSearch:
    """The search of the folder, or a new one. What was asked for must be what it began with, but for its limits."""
    emulated = {one.candidate.name: what for one in stacks if (what := _emulated(one))}
    new = StackSearch(run_file.name, spec.by, spec.strategy, run_file.seed, [one.candidate for one in stacks],
                      max_cost=run_file.max_cost, emulated=emulated)
    if not resume:
        return new
    found = search_file.read(results.root)
    if (found.candidates, found.by, found.strategy, found.seed) != (new.candidates, new.by, new.strategy, new.seed):
        raise FmloadError(f"{results.root} holds another search: its candidates, strategy or figure are not those of "
                          "this run file", hint=f"the one that it began with is {results.run_yml}")
    found.max_cost = run_file.max_cost
    return found


def _emulated(stack: Stack) -> str | None:
    options = stack.spec.deploy.options if stack.spec.deploy else None
    return stack.spec.emulated or getattr(options, "emulator", None)


def _strategy(spec: StacksSpec, search: StackSearch) -> Strategy:
    space = Space(search.candidates, search.lower_is_better, search.seed)
    made: Strategy = STRATEGIES.load(spec.strategy)(spec.options, space)
    return made


def _prices(run_file: RunFile, stacks: Sequence[Stack]) -> None:
    """Raises FmloadError where `max_cost` is set and the price of a candidate is unknown."""
    table = load_prices(Path(run_file.prices) if run_file.prices else None)
    whole = run_file.model_copy(update={"endpoints": [stack.spec for stack in stacks]})
    require_prices(whole, prices_of(whole, table))


def startup_s(run: RunFile) -> float:
    """How long standing the run's endpoint up takes, as its deploy target plans it."""
    from fmload_deploy.lifecycle import planned_startup_s

    return planned_startup_s(run)


def billed_usd(folder: Path) -> float | None:
    """What the things in a trial's ledger have cost, so far as their prices are known; None where there are none. One
    that is not deleted counts to this moment."""
    from fmload_analysis.stage.deployment import deployed

    now = datetime.now(UTC)
    usd = [one.usd_per_hour / 3600 * ((one.deleted or now) - one.created).total_seconds() for one in deployed(folder)
           if one.usd_per_hour is not None]
    return sum(usd) if usd else None


def most(run_file: RunFile, stacks: Sequence[Stack], strategy: Strategy, at_once: int) -> tuple[Cost, Cost]:
    """What the search will probably take and cost, were nothing dropped, and the most that it can come to."""
    by_name = {stack.candidate.name: stack for stack in stacks}

    def reckoned(of: Callable[..., Cost]) -> Callable[[Ask], Cost]:
        return cache(lambda ask: of(trial_run(run_file, by_name[ask.candidate], ask.share, None), startup_s))

    asks = strategy.at_most()
    return cost_of(asks, reckoned(expected_of), at_once), cost_of(asks, reckoned(most_of), at_once)


def estimate_words(run_file: RunFile, spec: StacksSpec, stacks: Sequence[Stack], strategy: Strategy) -> str:
    """Candidates, trials, time and cost, in a paragraph."""
    likely, worst = most(run_file, stacks, strategy, spec.at_once)
    limits = [f"max_cost stops it before {run_file.max_cost:g} USD"] if run_file.max_cost is not None else []
    limits += [f"max_time: no trial begins that would end after {format_duration(spec.max_time_s)}"
               ] if spec.max_time_s else []
    return (f"{len(stacks)} candidates, strategy {spec.strategy}: {len(strategy.at_most())} trials at most\n"
            f"  if nothing is dropped: about {format_duration(likely.took_s)}, {_usd(likely.usd)}; at most, were every "
            f"stage extended: {format_duration(worst.took_s)}, {_usd(worst.usd)}"
            + "".join(f"\n  {limit}" for limit in limits))


def _usd(usd: float | None) -> str:
    return "cost n/a (a price is unknown)" if usd is None else f"{usd:.2f} USD"


def _approved(args: argparse.Namespace, run_file: RunFile, spec: StacksSpec, stacks: Sequence[Stack],
              strategy: Strategy) -> str:
    """What is to be told. Raises FmloadError where it costs real money and nobody agrees."""
    told = estimate_words(run_file, spec, stacks, strategy)
    real = [stack for stack in stacks if stack.spec.deploy is not None and stack.spec.deploy.target != "local"
            and not _emulated(stack)]
    if not real or args.yes:
        return told
    if not sys.stdin.isatty():
        raise FmloadError(f"{told}\nthis costs money and nobody is there to agree", hint="add --yes, and max_cost:")
    print(told, file=sys.stderr)
    if input("Start this search? [y/N] ").strip().lower() not in ("y", "yes"):
        raise FmloadError("not started: its cost was declined")
    return told


def _read(folder: Path, by: str) -> Found | None:
    """What a trial found; None where it has no record at all."""
    results = Results(folder)
    if not results.stages_json.exists() or not any(path.stat().st_size for path in results.journal.glob("*.log")):
        return None
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.run import open_run
    from fmload_analysis.stacks.quality import graded
    from fmload_analysis.verdict.stacks import found

    opened = open_run(folder)
    what = found(analyse_run(opened), by)
    return replace(what, facts={**what.facts, **graded(opened, what.facts.get("stage"))})


def _saved(results: Results, say: Callable[[str], None], machines: Machines, search: StackSearch) -> None:
    """Write the search down, and tell of the trial that has ended or begun."""
    from fmload_analysis.stacks.words import trial_words

    _settle(search, machines)
    search_file.write(results.root, search)
    latest = [trial for trial in search.trials if (trial.number, trial.status) not in _TOLD]
    for trial in latest:
        _TOLD.add((trial.number, trial.status))
        say(trial_words(search, trial))
    if any(trial.over for trial in latest):
        _report(results)


_TOLD: set[tuple[int, str]] = set()


def _report(results: Results) -> None:
    from fmload_analysis.stacks.page import write

    if search_file.exists(results.root):
        write(results.root)


def _told(results: Results, search: StackSearch, require_objectives: bool) -> int:
    """The answer on the terminal; the exit code."""
    from fmload_analysis.stacks.words import answer

    console = Console()
    console.print(answer(search), highlight=False, soft_wrap=True)
    console.print(f"report: {results.report_html}\n        {results.report_md}", highlight=False, soft_wrap=True)
    measured = [trial for trial in search.trials if trial.status == "measured"]
    if not measured:
        return EXIT_INVALID
    return EXIT_OBJECTIVES if require_objectives and all(one.figure.value is None for one in measured) else EXIT_OK


def show(run_file: RunFile, console: Console) -> None:
    """For `fmload validate`: the candidates, what each needs, and what the search will take."""
    stacks, spec = stacks_of(run_file), run_file.stacks or default()
    new = StackSearch(run_file.name, spec.by, spec.strategy, run_file.seed, [one.candidate for one in stacks])
    table = Table("candidate", "settings", "needs", box=None)
    for stack in stacks:
        table.add_row(stack.candidate.name, stack.candidate.text + (" (default)" if stack.candidate.is_default and
                                                                    stack.candidate.settings else ""),
                      _needs(stack, run_file))
    console.print(table, end="\n\n")
    console.print(estimate_words(run_file, spec, stacks, _strategy(spec, new)), soft_wrap=True)


def _needs(stack: Stack, run_file: RunFile) -> str:
    """What the tables reckon of it: what is missing first, else its memory."""
    from fmload_deploy.check.check import checked

    rows = checked(run_file.model_copy(update={"endpoints": [stack.spec]}), None)
    missing = [f"{row.what}: {row.detail}" for row in rows if row.missing]
    return "; ".join(missing) or next((row.detail for row in rows if row.what in ("memory", "machine")), "")

