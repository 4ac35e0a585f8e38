"""`fmload deploy`: what a run file would create, creating it, what exists and costs, and removing it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fmload.base.errors import EXIT_OK, EXIT_USAGE, FmloadError
from fmload.base.redaction import printable

if TYPE_CHECKING:
    from fmload.config.schema import RunFile
    from fmload_deploy.base import Plan
    from fmload_deploy.ledger import Entry, Ledger

_ACTIONS = """
plan    what would be created, for which price; no effects
up      create what is not there yet, and show the addresses; repeat it after a failure
status  what exists, what it costs by the hour, and what it has cost
down    delete what the ledger has; repeat it after a failure; from any machine with the ledger, or by --run alone
sweep   find by tag what runs left in a region, and delete what is yours and no longer wanted
check   look before anything is created: memory, disk, images, names; offerings, quotas, permissions
policy  the smallest IAM policy for the targets of a run file
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "actions:" + _ACTIONS
    parser.add_argument("action", choices=["plan", "up", "status", "down", "sweep", "check", "policy"])
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG",
                        help="run file; for status and down also a results folder or a ledger")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets",
                        help="override a key of the run file")
    parser.add_argument("--out", type=Path, help="results folder; default: a new one, or the newest of the run file")
    parser.add_argument("--run", action="append", default=[],
                        help="down, sweep: the run id (tag fmload:run); live or not, whoever owns it (repeatable)")
    parser.add_argument("--owner", action="append", default=[],
                        help="sweep: what this owner left, too (repeatable; all: everybody). Live runs are spared")
    parser.add_argument("--region", help="down --run, sweep: the AWS region; default: AWS_REGION")
    parser.add_argument("--offline", action="store_true", help="check: from the dated tables alone, without an account")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Carry out the action; returns the exit code."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "plan": _plan, "up": _up, "status": _status, "down": _down, "sweep": _sweep, "check": _check,
        "policy": _policy}
    return actions[args.action](args)


def _plan(args: argparse.Namespace) -> int:
    from fmload_deploy import bill
    from fmload_deploy.check.check import checked
    run_file = _run_file(args)
    if any(spec.deploy for spec in run_file.endpoints):
        print(bill.describe(_plans(run_file), run_file))
    if any(not spec.deploy for spec in run_file.endpoints):
        print(_load_estimate(run_file))
    for row in checked(run_file, None):
        if row.missing:
            print(f"will not work: {row.endpoint}: {row.what}: {row.detail}; {row.remedy}")
    return EXIT_OK


def _load_estimate(run_file: RunFile) -> str:
    """What the load will cost at the endpoints that the run does not make, by the prompt sets as they are described."""
    from fmload.plan.estimate import described, estimate, prices_of
    from fmload.plan.stages import plan
    from fmload.pricing.table import load_prices
    from fmload.search.planner import at_most
    there = run_file.model_copy(update={"endpoints": [spec for spec in run_file.endpoints if not spec.deploy]})
    names = {spec.name for spec in there.endpoints}
    stages = [stage for stage in plan(run_file) if stage.endpoint in names]
    prices = prices_of(there, load_prices(Path(run_file.prices) if run_file.prices else None))
    return estimate(there, stages, described(run_file), prices, at_most(run_file, stages)).describe()


def _plans(run_file: RunFile) -> list[Plan]:
    """The plans, without a trace in results/."""
    import tempfile

    from fmload.results.folder import Results
    from fmload_deploy import lifecycle
    with tempfile.TemporaryDirectory() as folder:
        return lifecycle.plans(run_file, lifecycle.context_for(run_file, Results(Path(folder))))


def _up(args: argparse.Namespace) -> int:
    from fmload.results.folder import Results, new_results
    from fmload_deploy import bill, lifecycle
    run_file = _run_file(args)
    bill.approve(_plans(run_file), run_file, args.yes)
    known = [path for path in _ledgers(run_file.name) if path.parent.parent == Path("results")]  # of no search
    results = Results(args.out or known[-1].parent) if args.out or known else new_results(run_file.name)
    context = lifecycle.context_for(run_file, results, keep=True)
    lifecycle.look_before(run_file, context)
    for spec in lifecycle.up(run_file, context).endpoints:
        print(printable(f"{spec.name}: {spec.url or (spec.model_extra or {}).get('endpoint_name') or spec.model}"))
    print(f"remove it with: fmload deploy down {context.ledger.path}")
    return EXIT_OK


def _status(args: argparse.Namespace) -> int:
    from fmload_deploy import bill
    from fmload_deploy.ledger import Ledger
    from fmload_deploy.resource import sum_or_none
    up = []
    for path in _named_ledgers(args):
        ledger = Ledger.open(path)
        for entry in ledger.entries():
            state = _state(entry, ledger)
            up += [entry] if state in ("up", "unknown") else []
            print(f"{state:8}{bill.hourly_text(entry.resource.hourly):>14}  {entry.endpoint}: {entry.resource}"
                  + (_lease(entry) if state == "up" and entry.resource.hourly != 0 else ""))
    spent = bill.spent_usd(up)
    print(f"{len(up)} up, {bill.hourly_text(sum_or_none(entry.resource.hourly for entry in up))}, so far "
          + ("n/a (a price is unknown)" if spent is None else f"{spent:.2f} USD"))
    return EXIT_OK


def _lease(entry: Entry) -> str:
    """When the resource ends by itself."""
    from datetime import UTC, datetime

    from fmload.base.units import format_duration
    if entry.lease_utc is None:
        return "; no lease: bills until it is removed"
    left_s = (entry.lease_utc - datetime.now(UTC)).total_seconds()
    return f"; ends itself in {format_duration(left_s)}" if left_s > 0 else "; its lease is over: it ends now"


def _state(entry: Entry, ledger: Ledger) -> str:
    """`up`, `gone`, or `unknown` when the provider cannot be asked."""
    from fmload_deploy import lifecycle
    try:
        return "up" if lifecycle.exists(entry, lifecycle.context_of(ledger)) else "gone"
    except FmloadError as error:
        print(printable(f"{entry.resource}: {error.message}"), file=sys.stderr)
        return "unknown"


def _down(args: argparse.Namespace) -> int:
    from fmload_deploy import lifecycle
    from fmload_deploy.ledger import Ledger
    if args.run:
        return _sweep(args)
    lifecycle.all_down([lifecycle.context_of(Ledger.open(path)) for path in _named_ledgers(args)])
    return EXIT_OK


def _sweep(args: argparse.Namespace) -> int:
    from fmload_deploy import lifecycle, sweep
    from fmload_deploy.ledger import Ledger
    folder = args.out or Path("results") / "swept"
    region = args.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    looking = lifecycle.context_of(Ledger(folder / "none", ""), region)
    runs = sweep.found(looking, args.run[0] if len(args.run) == 1 else None)
    mine = looking.aws.owner(region)
    doomed = sweep.removable(runs, mine, args.run, args.owner)
    for run_id, run in runs.items():
        fate = "to be deleted" if run_id in doomed else "kept; name it to delete it: --run " + run_id
        print(*(printable(str(line)) for line in (f"{run.line()}: {fate}", *run.resources)), sep="\n  ")
    if not doomed:
        wanted = f"={', '.join(args.run)}" if args.run else ""
        print(f"nothing to delete{'' if runs else f' with the tag fmload:run{wanted}'} in {region or 'this region'}"
              f" for {mine}")
    elif _agreed(args.yes):
        lifecycle.all_down([lifecycle.context_of(sweep.ledger_of(folder, run_id, run.resources), region)
                            for run_id, run in doomed.items()])
    return EXIT_OK


def _check(args: argparse.Namespace) -> int:
    from fmload_deploy.aws import Aws
    from fmload_deploy.check.check import checked
    from fmload_deploy.check.rows import table
    rows = checked(_run_file(args), None if args.offline else Aws())
    print(table(rows))
    return EXIT_USAGE if any(row.missing for row in rows) else EXIT_OK


def _policy(args: argparse.Namespace) -> int:
    import json

    from fmload_deploy.permissions import policy
    print(json.dumps(policy(_run_file(args)), indent=1))
    return EXIT_OK


def _agreed(yes: bool) -> bool:
    if not yes and not sys.stdin.isatty():
        raise FmloadError("nothing is deleted without somebody's word", hint="add --yes")
    return yes or input("Delete all this? [y/N] ").strip().lower() in ("y", "yes")


def _run_file(args: argparse.Namespace) -> RunFile:
    from fmload.config.loading import find, load
    return load(find(str(_config(args))), args.sets)


def _config(args: argparse.Namespace) -> Path:
    if args.config is None:
        raise FmloadError(f"'fmload deploy {args.action}' needs a CONFIG", hint="name a run file")
    path: Path = args.config
    return path


def _named_ledgers(args: argparse.Namespace) -> list[Path]:
    """The ledgers that the arguments name: one, or those of a run file."""
    from fmload_deploy.ledger import NAME, ledgers_in
    path = args.out or _config(args)
    if path.name == NAME:
        return [path]
    if path.is_dir():
        return ledgers_in(path) or [path / NAME]
    ledgers = _ledgers(_run_file(args).name)
    if not ledgers:
        raise FmloadError(f"no ledger of {path} under results/", hint="name the results folder, or use --run ID")
    return ledgers


def _ledgers(name: str) -> list[Path]:
    """Ledgers of the runs of one name that still have something up, oldest first."""
    from fmload_deploy.ledger import Ledger, ledgers_in
    paths = [path for folder in sorted(Path("results").glob(f"{name}-*")) for path in ledgers_in(folder)]
    return [path for path in paths if any(entry.up for entry in Ledger.open(path).entries())]
