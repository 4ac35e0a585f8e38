"""Users that write what they send, and the run files that go with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config import RunFile

SOURCE = "scenario"
_SET = "write `prompts: [{name: chat, source: scenario}]`"


def any_of(users: Sequence[Any]) -> bool:
    """Whether some of these user classes write what they send."""
    return any(getattr(user, "scripted", False) for user in users)


def check(run: RunFile, users: Sequence[Any]) -> None:
    """Raises FmloadError with all that keeps these user classes and this run file from going together."""
    if problems := list(_problems(run, users)):
        raise FmloadError("\n".join(problems))


def _problems(run: RunFile, users: Sequence[Any]) -> Iterator[str]:
    sets = {spec.name: spec.source == SOURCE for spec in run.prompts}
    if not any_of(users):
        for name in (name for name, written in sets.items() if written):
            yield (f"prompt set '{name}' (source: scenario) is written by the users of a locustfile, and "
                   f"{_named(users)} sends prepared prompts: run it with `locust -f` and a locustfile of "
                   "OpenAIUser, SageMakerUser or BedrockUser")
        return
    plain = [user for user in users if not getattr(user, "scripted", False)]
    if plain and any(getattr(user, "protocol", None) for user in plain):
        yield f"{_named(plain)} sends prepared prompts, the other users write theirs: put them into two locustfiles"
    for name in (name for name, written in sets.items() if not written):
        yield f"prompt set '{name}': these users write what they send; {_SET}, and no other set"
    yield from _load_problems(run)
    known = {spec.name for spec in run.endpoints}
    for user in users:
        wanted = getattr(user, "endpoint", None)
        if wanted is not None and wanted not in known:
            yield (f"{user.__name__} asks endpoint '{wanted}', which the run does not have: "
                   f"it has {', '.join(sorted(known))}")


def _load_problems(run: RunFile) -> Iterator[str]:
    load = run.load
    unfit = {"rate": load.rate is not None, "trace": load.trace is not None, "requests.exactly": load.exact is not None,
             "find.over": load.find is not None and load.find.over == "rate"}
    for key in (key for key, given in unfit.items() if given):
        yield f"load.{key}: users with a scenario are a closed loop: give load.concurrency, the number of users"


def _named(users: Sequence[Any]) -> str:
    return ", ".join(user.__name__ for user in users)


def check_shape(run: RunFile, users: Sequence[Any], followed: bool) -> None:
    """Raises FmloadError where a locustfile's own load shape and the run file do not agree on who gives the load."""
    if followed and not any_of(users):
        raise FmloadError(f"the locustfile has a load shape of its own, and {_named(users)} sends prepared prompts",
                          hint="leave the shape out: fmload's stages give the load; or write users with a scenario")
    if followed and not run.load.shape:
        raise FmloadError("the locustfile has a load shape of its own, and the run file gives the load, too",
                          hint="leave the shape out, or write load: {shape: true, concurrency: [the most users], …}")
    if run.load.shape and not followed:
        raise FmloadError("load.shape: the locustfile has no LoadTestShape of its own",
                          hint="leave `shape` out, or write a class that says how many users there are")
