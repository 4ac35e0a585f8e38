"""Taking down what a ledger has, whatever made it: newest first, what fails keeps nothing else up, and is told."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from fmload.base.errors import FmloadError
from fmload.base.signals import interrupted_by_a_second
from fmload.plugins import KINDS
from fmload_deploy import bill
from fmload_deploy.aws import pause_s, vanished
from fmload_deploy.base import Context, Kind
from fmload_deploy.create import found_despite_lag
from fmload_deploy.ledger import Entry
from fmload_deploy.resource import sum_or_none
from fmload_deploy.wait import retried

Item = TypeVar("Item")
Value = TypeVar("Value")


def down(context: Context) -> None:
    """Delete what the ledger has, newest first, endpoints side by side. Does nothing the second time.

    Raises FmloadError with what could not be deleted, its price and the command that tries again.
    """
    with interrupted_by_a_second(lambda: context.say(
            f"still deleting; Ctrl-C again leaves the rest as it is: {removal(context)}")):
        _down(context)


def all_down(contexts: Sequence[Context]) -> None:
    """`down` of several runs, one after the other; what cannot be deleted of one keeps none of the others up.

    Raises FmloadError in the end, with all that is left.
    """
    problems: list[FmloadError] = []
    for context in contexts:
        try:
            down(context)
        except FmloadError as error:
            problems.append(error)
    if problems:
        raise together(problems)


def _down(context: Context) -> None:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in reversed(context.ledger.entries()):
        if entry.up:
            groups[entry.endpoint].append(entry)
    fresh = replace(context, stop=threading.Event())
    try:
        side_by_side(lambda group: _delete_all(group, fresh), list(groups.values()), fresh)
    except FmloadError as error:
        raise _left(error, context) from error


def _left(error: FmloadError, context: Context) -> FmloadError:
    """What is still there, what it costs, and how it is removed."""
    left = [entry.resource for entry in context.ledger.entries() if entry.up]
    hourly = sum_or_none(resource.hourly for resource in left)
    lines = "".join(f"\n  {bill.hourly_text(resource.hourly):>14}  {resource}" for resource in left)
    return FmloadError(f"not everything could be deleted: {error.message}\nstill there, together "
                       f"{bill.hourly_text(hourly)}:{lines}\nremove it with: {removal(context)}",
                       hint=error.hint, exit_code=error.exit_code)


def removal(context: Context) -> str:
    """The command that deletes what a ledger has."""
    return f"fmload deploy down {context.ledger.path}"


def exists(entry: Entry, context: Context) -> bool:
    """Whether the resource is there, by its provider's word. Raises FmloadError when that cannot be had."""
    if not entry.up or vanished(entry.resource):
        return False
    kind: Kind = KINDS.load(entry.resource.kind)()
    return kind.find(entry.resource, context) is not None


def _delete_all(group: Sequence[Entry], context: Context) -> None:
    problems: list[FmloadError] = []
    for entry in group:
        try:
            _delete(entry, context)
        except FmloadError as error:
            context.say(f"{entry.endpoint}: {entry.resource} is still there: {error.message}")
            problems.append(error)
    if problems:
        raise together(problems)


def _delete(entry: Entry, context: Context) -> None:
    kind: Kind = KINDS.load(entry.resource.kind)()
    context.ledger.write("deleting", entry.resource, entry.endpoint)
    context.say(f"{entry.endpoint}: deleting {entry.resource}")
    if not vanished(entry.resource):
        found_despite_lag(kind, entry.resource, context, entry)
        retried(f"deleting {entry.resource}", lambda: _deleted(kind, entry, context), context,
                pause_s(entry.resource.detail.get("endpoint_url")))
    context.ledger.write("deleted", entry.resource, entry.endpoint)


def _deleted(kind: Kind, entry: Entry, context: Context) -> bool:
    kind.delete(entry.resource, context)
    return True


def side_by_side(work: Callable[[Item], Value], items: Sequence[Item], context: Context) -> list[Value]:
    """`work` of each item in a thread of its own; all of them end before the first error is raised."""
    if not items:
        return []
    with ThreadPoolExecutor(len(items), "deploy") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            problems = [error for error in (future.exception() for future in futures) if error is not None]
        except BaseException:
            context.stop.set()
            raise
    for problem in problems:
        if not isinstance(problem, FmloadError):
            raise problem
    if problems:
        raise together([problem for problem in problems if isinstance(problem, FmloadError)])
    return [future.result() for future in futures]


def together(problems: Sequence[FmloadError]) -> FmloadError:
    """Several errors as one."""
    if len(problems) == 1:
        return problems[0]
    text = "\n".join(f"- {problem}" for problem in problems)
    return FmloadError(f"{len(problems)} problems:\n{text}", exit_code=max(problem.exit_code for problem in problems))
