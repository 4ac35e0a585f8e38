"""The bill: what a plan will cost, whether its owner agrees, and the alarm that rings before the limit is passed."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from fmload.base.errors import FmloadError
from fmload.base.units import format_duration
from fmload.config.schema import RunFile
from fmload.plan import stages
from fmload_deploy.base import Context, Plan
from fmload_deploy.ledger import Entry
from fmload_deploy.resource import sum_or_none

_TEARDOWN_S = 300.0  # kept back from the limit, for what is still billed while it is deleted
_ASSUMED_REQUESTS_S = 60.0  # a window that closes after a number of requests has no length of its own
_LOOK_EVERY_S = 5.0


def load_s(run_file: RunFile) -> float:
    """How long the sweep takes: ramp, warm-up and window of every step, one after the other."""
    return sum(max(stage.ramp_s + stage.warmup_s + (stage.window_s or _ASSUMED_REQUESTS_S) for stage in step)
               for step in stages.steps_of(stages.plan(run_file)))


def estimate_usd(plans: Sequence[Plan], run_file: RunFile) -> float | None:
    """What the run will cost: commitments, and every resource from its start-up to the end of the sweep.

    None when a price is unknown.
    """
    return sum_or_none(
        None if plan.hourly is None else plan.commitment_usd + plan.hourly * (plan.startup_s + load_s(run_file)) / 3600
        for plan in plans)


def describe(plans: Sequence[Plan], run_file: RunFile) -> str:
    """The plan as people read it: every resource with its price, the total, and what must be known before."""
    lines = []
    for plan in plans:
        lines.append(f"{plan.endpoint}: {plan.target}, ready after about {format_duration(plan.startup_s)}")
        lines += [f"  {hourly_text(resource.hourly):>14}  {resource}" for resource in plan.resources]
        if plan.commitment_usd:
            lines.append(f"  {plan.commitment_usd:>9.2f} USD  owed once bought, whether used or not")
        lines += [f"  note: {note}" for note in plan.notes]
    hourly = sum_or_none(plan.hourly for plan in plans)
    estimate = estimate_usd(plans, run_file)
    lines.append(f"together {hourly_text(hourly)}; this run, {format_duration(load_s(run_file))} of load: "
                 + ("n/a (a price is unknown)" if estimate is None else f"about {estimate:.2f} USD"))
    return "\n".join(lines)


def approve(plans: Sequence[Plan], run_file: RunFile, yes: bool, before_usd: float = 0.0) -> None:
    """Return when the plan may go ahead. Raises FmloadError when it is above `max_cost`, unpriced, or declined.
    `before_usd`: what the run has cost already, when it is resumed."""
    estimate, limit = estimate_usd(plans, run_file), run_file.max_cost
    if limit is not None and estimate is None:
        raise FmloadError(f"max_cost is {limit:g} USD, but the price of {_unpriced(plans)} is unknown",
                          hint="give price: {hourly: …} in the run file, add it to a table named by prices:, or take "
                               "max_cost out")
    if limit is not None and estimate is not None and estimate > 0 and estimate + before_usd > limit:
        beside = f" beside the {before_usd:.2f} USD that it has cost already" if before_usd else ""
        raise FmloadError(f"this run would cost about {estimate:.2f} USD{beside}, above max_cost: {limit:g}",
                          hint="fewer stages, shorter windows, a smaller instance, or a higher max_cost")
    if estimate != 0 and not yes:
        ask(describe(plans, run_file))


def ask(told: str) -> None:
    """Return when somebody agrees to what is told of. Raises FmloadError when it is declined, or nobody is there."""
    print(told, file=sys.stderr)
    if not sys.stdin.isatty():
        raise FmloadError("this costs money and nobody is there to agree", hint="add --yes")
    if input("Create this? [y/N] ").strip().lower() not in ("y", "yes"):
        raise FmloadError("not created")


def spent_usd(entries: Sequence[Entry], now: datetime | None = None) -> float | None:
    """What resources have cost from their creation until they were deleted, or until now; None when a price is
    unknown."""
    now = now or datetime.now(UTC)
    paid = ((entry, now if entry.up else entry.ended_utc) for entry in entries)
    return sum_or_none(None if entry.resource.hourly is None else
                       entry.resource.hourly * (end - entry.created_utc).total_seconds() / 3600
                       for entry, end in paid if end is not None)


@contextmanager
def limited(context: Context, max_cost: float | None,
            tokens_usd: Callable[[], float] = lambda: 0.0) -> Iterator[None]:
    """Interrupts the main thread (as Ctrl-C does) shortly before the ledger's bill, with what `tokens_usd` says that
    tokens have cost meanwhile, passes `max_cost`."""
    if max_cost is None:
        yield
        return
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(context, max_cost, done, tokens_usd), daemon=True, name="cost limit")
    watch.start()
    try:
        with _interruptible():
            yield
    finally:
        done.set()
        watch.join()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Where interrupts are ignored, as in the background of a shell, they are not while money is being spent."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _watch(context: Context, max_cost: float, done: threading.Event, tokens_usd: Callable[[], float]) -> None:
    while not done.wait(_LOOK_EVERY_S):
        lives = context.ledger.lives()
        hourly = sum_or_none(entry.resource.hourly for entry in lives if entry.up) or 0.0
        spent = (spent_usd(lives) or 0.0) + tokens_usd()
        if spent + hourly * _TEARDOWN_S / 3600 > max_cost > 0 and hourly > 0:
            context.say(f"the bill is about to pass max_cost ({max_cost:g} USD): stopping")
            context.stop.set()
            _thread.interrupt_main()
            return


def hourly_text(price: float | None) -> str:
    """A price by the hour, for people."""
    return "n/a USD/h" if price is None else f"{price:.4g} USD/h"


def _unpriced(plans: Sequence[Plan]) -> str:
    return ", ".join(str(resource) for plan in plans for resource in plan.resources if resource.hourly is None)
