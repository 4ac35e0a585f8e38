"""Up and down: every endpoint of a run file that asks for it is stood up, side by side, and taken down again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError
from fmload.base.signals import as_interrupts
from fmload.config.schema import EndpointSpec, RunFile
from fmload.plan.estimate import terms_of_spec
from fmload.plugins import TARGETS
from fmload.results.folder import Results, spent_on_tokens
from fmload_deploy import bill
from fmload_deploy.aws import Aws
from fmload_deploy.base import Context, Deployment, Plan, Target
from fmload_deploy.check.check import before_creation
from fmload_deploy.condition import watched
from fmload_deploy.lease import KEPT_LEASE_S, LEASE_S, renewing
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.teardown import all_down as all_down
from fmload_deploy.teardown import down as down
from fmload_deploy.teardown import exists as exists
from fmload_deploy.teardown import removal, side_by_side

Say = Callable[[str], None]


def say_on_stderr(text: str) -> None:
    """One line of progress."""
    print(f"deploy: {text}", file=sys.stderr, flush=True)


def context_for(run_file: RunFile, results: Results, say: Say = say_on_stderr, keep: bool = False) -> Context:
    """The context of a run; its ledger lies in the results folder, and is made when there is none yet."""
    results.create()
    prices = Path(run_file.prices) if run_file.prices else None
    ledger = Ledger.begin(results.root / NAME, run_file.name)
    return Context(ledger, results.logs, Aws(), _unbreakable(say), run_file.region, prices, keep,
                   _first_lease_s(run_file, keep))


def context_of(ledger: Ledger, region: str | None = None, say: Say = say_on_stderr) -> Context:
    """The context for what a ledger holds, without its run file."""
    return Context(ledger, ledger.path.parent, Aws(), _unbreakable(say), region)


def _first_lease_s(run_file: RunFile, keep: bool) -> float:
    """From creation to the first renewal, the longest start included; what is kept is never renewed."""
    options = [spec.deploy.options for spec in run_file.endpoints if spec.deploy]
    if keep:
        return max([getattr(one, "kept_lease_s", KEPT_LEASE_S) for one in options], default=KEPT_LEASE_S)
    return max([getattr(one, "start_timeout_s", 0.0) for one in options], default=0.0) + LEASE_S


def _unbreakable(say: Say) -> Say:
    """Progress that nobody can read any more, as on a lost terminal, stops nothing."""
    def told(text: str) -> None:
        try:
            say(text)
        except (OSError, ValueError):
            return
    return told


@contextmanager
def deployed(run_file: RunFile, results: Results, *, yes: bool = False, keep: bool = False,
             say: Say = say_on_stderr) -> Iterator[RunFile]:
    """The run file with the addresses of what its `deploy` entries ask for, which exists inside the block.

    Shows the plan and asks first when it costs money (unless `yes`); refuses a plan above `max_cost`, and interrupts
    the main thread when the bill is about to pass it. Unless `keep`, everything is gone afterwards, whatever happened.
    """
    if not any(spec.deploy for spec in run_file.endpoints):
        yield run_file
        return
    context = context_for(run_file, results, say, keep)
    bill.approve(plans(run_file, context), run_file, yes, bill.spent_usd(context.ledger.lives()) or 0.0)
    look_before(run_file, context)
    with as_interrupts():
        try:
            with bill.limited(context, run_file.max_cost, lambda: spent_on_tokens(results)), renewing(context):
                ready = up(run_file, context)
                with watched(context):
                    yield ready
        finally:
            if keep:
                context.say(f"left up; remove it with: {removal(context)}")
            else:
                _down_after(context, failing=sys.exc_info()[0] is not None)


def look_before(run_file: RunFile, context: Context) -> None:
    """Raises FmloadError when what is asked for cannot be had here; what the tables doubt is said."""
    before_creation(run_file, context.aws, context.say)


def plans(run_file: RunFile, context: Context) -> list[Plan]:
    """What `up` would create, without creating it."""
    return [target.plan() for target in _targets(run_file, context)]


def planned_startup_s(run_file: RunFile) -> float:
    """How long `up` will probably take: the longest of its targets. Nothing is created, and no ledger written."""
    context = Context(Ledger(Path(NAME), run_file.name), Path("logs"), Aws(), lambda _: None, run_file.region,
                      Path(run_file.prices) if run_file.prices else None)
    return max((plan.startup_s for plan in plans(run_file, context)), default=0.0)


def up(run_file: RunFile, context: Context) -> RunFile:
    """Create what is not there yet; the run file comes back with addresses in place of `deploy`.

    Raises FmloadError when an endpoint fails; what the others created stays, and is in the ledger.
    """
    targets = _targets(run_file, context)
    made = side_by_side(lambda target: target.up(), targets, context)
    return with_addresses(run_file, {deployment.endpoint: deployment for deployment in made})


def with_addresses(run_file: RunFile, deployments: Mapping[str, Deployment]) -> RunFile:
    """The run file with what was deployed put into its endpoints."""
    endpoints = [_with_address(spec, deployments[spec.name]) if spec.name in deployments else spec
                 for spec in run_file.endpoints]
    return run_file.model_copy(update={"endpoints": endpoints})


def _down_after(context: Context, failing: bool) -> None:
    try:
        down(context)
    except FmloadError as error:
        if not failing:
            raise
        context.say(str(error))  # the first failure is the one to raise


def _targets(run_file: RunFile, context: Context) -> list[Target]:
    return [TARGETS.load(spec.deploy.target)(spec, context) for spec in run_file.endpoints if spec.deploy]


def _with_address(spec: EndpointSpec, deployment: Deployment) -> EndpointSpec:
    said: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude={"deploy"})
    defaults = {key: value for key, value in deployment.defaults.items() if key not in spec.model_fields_set}
    given = {} if spec.price is None else spec.price.model_dump(exclude_none=True)
    # What was deployed fills the gaps of a price that is given, or of an instance type's.
    made = {**_made(spec), **deployment.defaults.get("price", {})}
    if "model" not in given and (given or (made and spec.instance_type)):
        said["price"] = {**made, **given}
    return EndpointSpec.model_validate({**said, **defaults, **deployment.settings})


def _made(spec: EndpointSpec) -> dict[str, Any]:
    """What was deployed, for the gaps of a price: how many instances, where they are several."""
    count = terms_of_spec(spec).count
    return {"count": count} if count > 1 else {}
