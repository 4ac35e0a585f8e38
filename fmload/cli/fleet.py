"""`fmload fleet`: hosts for the load, with the run that they make: one command up, one to see, one to take down."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from fmload.base.errors import EXIT_INVALID, EXIT_OK, Faults, FmloadError
from fmload.base.redaction import printable
from fmload.base.units import format_duration, parse_duration_s
from fmload.cli import fleet_options
from fmload.cli.arguments import dollars, positive
from fmload.plugins import FLEETS

if TYPE_CHECKING:
    from fmload.config.schema import RunFile
    from fmload.results.folder import Results
    from fmload_deploy.base import Plan
    from fmload_deploy.fleet.base import Fleet
    from fmload_deploy.fleet.lifecycle import Standing

ROOT = Path("results")
_ACTIONS = """
plan     what would be created, for which price; no effects
run      up, wait for the end of the run, bring the results back, report, down: the whole line
up       make the fleet and start its run; returns once the workers have connected
status   every fleet, or one: hosts, workers, what it has cost, how long its lease lasts
results  wait for the end of the run, bring the results back and report; the fleet stays
down     end the run in order, bring the results back, delete everything; repeat it after a failure
policy   the smallest IAM policy for fleets on EC2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options; those of the targets are their own."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "actions:" + _ACTIONS
    add = parser.add_argument
    add("action", choices=["plan", "run", "up", "status", "results", "down", "policy"])
    add("what", nargs="?", metavar="CONFIG|NAME", help="plan, run, up: a run file; status, results, down: a fleet")
    add("--name", help="the fleet's name; default: the run file's")
    add("--target", choices=FLEETS.in_order(), default="local", help="where the hosts are (%(default)s)")
    add("--workers", type=positive, metavar="N", help="Locust workers, a core each; default: the run file's")
    add("--lease", type=_seconds, default=7200.0, metavar="TIME",
        help="the hosts end themselves after so long, whatever happens (2h)")
    add("--start-timeout", type=_seconds, default=900.0, metavar="TIME", help="until the workers have connected (15m)")
    add("--region", help="AWS region; default: the run file's, or AWS_REGION")
    add("--max-cost", type=dollars, metavar="USD", help="refuse a fleet that may cost more until its lease ends")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a key of the run file (repeatable)")
    add("--out", type=Path, metavar="DIR", help="where the results come to; results/<name>-<UTC>/ when absent")
    add("--require-objectives", action="store_true", help="exit with 3 when no stage meets the objectives")
    add("--discard", action="store_true", help="down: delete at once, and give the results up")
    add("--yes", action="store_true", help="do not ask before what costs money")
    fleet_options.add_flags(parser)


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not 60 <= seconds <= 7 * 86_400:
        raise argparse.ArgumentTypeError(f"'{text}' is not between 1m and 168h")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Carry out the action; returns the exit code."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "plan": _plan, "run": _run, "up": _up, "status": _status, "results": _results, "down": _down,
        "policy": _policy}
    return actions[args.action](args)


def _plan(args: argparse.Namespace) -> int:
    run_file = _run_file(args)
    fleet = _fleet(args, run_file, "")
    print(_described(_planned(fleet, run_file), fleet))
    return EXIT_OK


def _up(args: argparse.Namespace) -> int:
    made = _made(args)
    name = made.fleet.name
    print(f"fleet {name} runs {args.what}: {made.fleet.workers} workers connected; its lease lasts "
          f"{format_duration(made.lease_left_s)}\nsee it:            fmload fleet status {name}\n"
          f"take the results:  fmload fleet results {name}\ntake it down:      fmload fleet down {name}")
    return EXIT_OK


def _run(args: argparse.Namespace) -> int:
    from fmload.base.signals import as_interrupts
    from fmload_deploy.fleet import lifecycle
    made = _made(args)
    with as_interrupts():
        try:
            last = lifecycle.follow(made)
        except BaseException:
            lifecycle.say_on_stderr("taking the fleet down; what it has measured comes first")
            if (results := lifecycle.down(made)) is not None:
                print(f"what was measured is in {results.root}{_cost_text(made)}")
            raise
        results = lifecycle.down(made)
    return _reported(results, made, args, last.exit_code or 0, last.why)


def _results(args: argparse.Namespace) -> int:
    from fmload_deploy.fleet import lifecycle
    made = _named(args)
    last = lifecycle.follow(made) if made.up else None
    results = None if lifecycle.brought(made) and _is_reported(made) else lifecycle.bring_back(made)
    return _reported(results, made, args, (last and last.exit_code) or 0, last.why if last else "")


def _down(args: argparse.Namespace) -> int:
    from fmload_deploy.fleet import lifecycle
    made = _named(args)
    if not made.up:
        print(f"fleet {made.fleet.name}: nothing of it is up")
        return EXIT_OK
    results = lifecycle.down(made, args.discard)
    if results is not None:
        _reported(results, made, args, 0, "")
    print(f"fleet {made.fleet.name} is down{_cost_text(made)}")
    return EXIT_OK


def _policy(args: argparse.Namespace) -> int:
    import json

    from fmload_deploy.permissions import document
    print(json.dumps(document(["fleet"], [_region(args) or "*"]), indent=1))
    return EXIT_OK


def _region(args: argparse.Namespace, otherwise: str | None = None) -> str | None:
    return args.region or otherwise or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def _status(args: argparse.Namespace) -> int:
    from fmload_deploy.fleet import lifecycle
    fleets = [_named(args)] if args.what is not None else list(lifecycle.all_standing(ROOT, lifecycle.say_on_stderr))
    table = Table("fleet", "target", "hosts", "workers", "run", "USD/h", "so far", "lease", "results", box=None)
    for made in fleets:
        table.add_row(*map(printable, _row(made)))
    if fleets:
        Console(width=max(100, Console().width)).print(table)
    else:
        print("no fleet is up")
    return EXIT_OK


def _row(made: Standing) -> list[str]:
    """The fleet as it stands, by its provider's and its master's word; `?` where neither answers."""
    from fmload_deploy import bill
    from fmload_deploy.fleet import base, cost, lifecycle
    target, last = made.target, None
    try:
        alive, hosts = target.running() if made.up else (0, 0)
        last = base.told(target.mailbox()) if made.up else None
        running = f"{alive} of {hosts}"
    except FmloadError as error:
        print(printable(f"{made.fleet.name}: {error.message}"), file=sys.stderr)
        running = "?"
    spent = cost.spent_usd(made.fleet, made.context.ledger, last)
    left = made.lease_left_s
    connected = "?" if last is None else f"{last.connected - last.lost} of {made.fleet.workers}"
    return [made.fleet.name, made.fleet.target, running, connected, _phase(made, last),
            bill.hourly_text(cost.hourly_usd(made.context.ledger)).removesuffix(" USD/h"),
            "n/a" if spent is None else f"{spent:.2f} USD",
            f"{format_duration(left)} left" if left > 0 else "over",
            made.fleet.results if lifecycle.brought(made) else "in the fleet" if last and last.phase == "ended" else ""]


def _phase(made: Standing, last: Any) -> str:
    if not made.up:
        return "down"
    if last is None:
        return "starting" if made.lease_left_s > 0 else "gone"
    code = f" with {last.exit_code}" if last.exit_code else ""
    return f"{last.phase}{code}" + (f", {last.stage} stages" if last.stage and last.phase == "measuring" else "")


def _made(args: argparse.Namespace) -> Standing:
    """The fleet that the arguments ask for, made after its price was agreed to."""
    from fmload.launch import session
    from fmload_deploy.fleet import lifecycle
    run_file = _run_file(args)
    fleet = _fleet(args, run_file, "")
    lifecycle.refuse_taken(ROOT, fleet.name)
    _approve(args, fleet, run_file)
    results = session.open_folder(run_file.name, args.out)
    _prepare(run_file, results)
    lifecycle.say_on_stderr(session.approve(run_file, results, False, args.yes, _ask if sys.stdin.isatty() else None))
    return lifecycle.up(ROOT, _fleet(args, run_file, str(results.root.resolve())), run_file, results,
                        lifecycle.say_on_stderr)


def _ask(told: str) -> bool:
    print(told, file=sys.stderr)
    return input("Start this load? [y/N] ").strip().lower() in ("y", "yes")


def _prepare(run_file: RunFile, results: Results) -> None:
    """The prompts are made here, where data sets and tokenizers are; the fleet gets them as they will be sent."""
    from fmload.launch import session
    from fmload.prompts.preparation import prepare

    def made(run: RunFile, folder: Results) -> None:
        prepare(run, folder)
    session.prepare_prompts(run_file, results, made)


def _run_file(args: argparse.Namespace) -> RunFile:
    """The run file. Raises FmloadError for what a fleet cannot run, all of it in one pass."""
    from fmload.config.loading import find, load
    from fmload.config.secrets import refuse_inline_secrets
    from fmload.plan.stages import plan
    from fmload.prompts.checking import check
    from fmload.stacks.candidates import varies
    from fmload_deploy.fleet.base import target_is_here
    from fmload_deploy.fleet.belongings import asks_itself, refuse_unfit
    from fmload_deploy.fleet.lifecycle import say_on_stderr
    if args.what is None:
        raise FmloadError(f"'fmload fleet {args.action}' needs a CONFIG", hint="name a run file")
    path = find(args.what)
    run_file = load(path, args.set)
    faults = Faults()
    for spec in run_file.endpoints:
        if spec.deploy is not None:
            faults.add(FmloadError(f"endpoint '{spec.name}' has deploy: a fleet loads what is there",
                                   hint="fmload deploy up CONFIG first, and name its address in a run file"))
    for prompts in run_file.prompts:
        if prompts.source == "scenario":
            faults.add(FmloadError(f"prompt set '{prompts.name}': a fleet runs no locustfile of yours",
                                   hint="fmload run --locustfile … --remote-workers N"))
    if varies(run_file):
        faults.add(FmloadError("a search over stacks deploys what it tries", hint="fmload run CONFIG"))
    faults.check()
    refuse_unfit(run_file, path, args.set, here := target_is_here(args.target))
    for words in () if here else asks_itself(run_file):
        say_on_stderr(words)
    refuse_inline_secrets(run_file)
    plan(run_file)
    check(run_file, path, args.set)
    return run_file


def _fleet(args: argparse.Namespace, run_file: RunFile, results: str) -> Fleet:
    from fmload_deploy.fleet.base import Fleet
    from fmload_deploy.fleet.belongings import variables
    return Fleet(_name(args.name or run_file.name), args.target, args.workers or run_file.load.workers, args.lease,
                 args.start_timeout, results, _region(args, run_file.region), fleet_options.given(args),
                 tuple(sorted({spec.protocol for spec in run_file.endpoints})), variables(run_file))


def _name(text: str) -> str:
    """A name that is a folder's and can be part of names in AWS and Kubernetes."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", text) is None:
        raise FmloadError(f"'{text}' is no name of a fleet",
                          hint="letters, digits, - and _, 60 at most, a letter or digit first: --name load")
    return text


def _planned(fleet: Fleet, run_file: RunFile) -> Plan:
    from fmload_deploy.fleet import lifecycle
    from fmload_deploy.fleet.base import target_of
    return target_of(fleet, lifecycle.planned(fleet, run_file, lifecycle.say_on_stderr)).plan()


def _described(plan: Plan, fleet: Fleet) -> str:
    """The plan as people read it."""
    from fmload_deploy import bill
    lines = [f"fleet {fleet.name}: {plan.target}, {fleet.workers} workers, ready after about "
             f"{format_duration(plan.startup_s)}"]
    lines += [f"  {bill.hourly_text(one.hourly):>14}  {one}" for one in plan.resources]
    lines += [f"  note: {note}" for note in plan.notes]
    most = _most_usd(plan, fleet)
    return "\n".join([*lines, f"together {bill.hourly_text(plan.hourly)}; until its lease ends, "
                      f"{format_duration(fleet.lease_s)}: " + ("n/a" if most is None else f"{most:.2f} USD at most")])


def _most_usd(plan: Plan, fleet: Fleet) -> float | None:
    return None if plan.hourly is None else plan.hourly * fleet.lease_s / 3600


def _approve(args: argparse.Namespace, fleet: Fleet, run_file: RunFile) -> None:
    """Return when the fleet may be made. Raises FmloadError when it is above --max-cost, unpriced, or declined."""
    from fmload_deploy import bill
    plan = _planned(fleet, run_file)
    most, limit = _most_usd(plan, fleet), args.max_cost
    if limit is not None and most is None:
        raise FmloadError(f"--max-cost is {limit:g} USD, but the price of the hosts is unknown",
                          hint="a price table (prices: in the run file), --hourly on Kubernetes, or no --max-cost")
    if limit is not None and most is not None and most > limit:
        raise FmloadError(f"until its lease ends this fleet may cost {most:.2f} USD, above --max-cost {limit:g}",
                          hint="a shorter --lease, fewer workers, a smaller instance, or a higher --max-cost")
    if most != 0 and not args.yes:
        bill.ask(_described(plan, fleet))


def _named(args: argparse.Namespace) -> Standing:
    """The fleet that is named, or the only one that is up."""
    from fmload_deploy.fleet import lifecycle
    say = lifecycle.say_on_stderr
    if args.what is not None:
        return lifecycle.standing(ROOT, _name(args.what), say)
    up = list(lifecycle.all_standing(ROOT, say))
    if len(up) != 1:
        names = ", ".join(one.fleet.name for one in up)
        raise FmloadError(f"which fleet? {names}" if up else "no fleet is up", hint="fmload fleet status")
    return up[0]


def _reported(results: Results | None, made: Standing, args: argparse.Namespace, code: int, why: str) -> int:
    """The report of what has come back, made anew with the cost of the load; the exit code."""
    from fmload.results.folder import Results
    if results is None and _is_reported(made):
        print(f"the results are in {made.fleet.results}")
        return code
    if results is None:
        raise FmloadError(f"fleet {made.fleet.name} has no results" + (f": {why}" if why else ""),
                          hint=f"logs: {made.context.logs}", exit_code=code or EXIT_INVALID)
    from fmload_analysis.pipeline import analyse, exit_code
    from fmload_analysis.report.terminal import headline
    if not any(path.stat().st_size for path in results.journal.glob("*.log")):
        raise FmloadError(f"nothing was measured: {why}" if why else "nothing was measured",
                          hint=f"what there is lies in {results.root}", exit_code=code or EXIT_INVALID)
    analysis = analyse(results.root)
    console = Console()
    console.print(headline(analysis))
    console.print(f"report: {Results(results.root).report_html}{_cost_text(made)}", highlight=False, soft_wrap=True)
    return code or exit_code(analysis, args.require_objectives)


def _is_reported(made: Standing) -> bool:
    return (Path(made.fleet.results) / "report.md").exists()


def _cost_text(made: Standing) -> str:
    import json

    path = Path(made.fleet.results) / "fleet.json"
    usd = json.loads(path.read_text()).get("usd") if path.exists() else None
    return "; the load cost n/a" if usd is None else f"; the load cost {usd:.2f} USD"
