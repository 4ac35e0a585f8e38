"""Users that write what they send, and the run files that go with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config import RunFile
from fmload.config.abilities import made_by
from fmload.config.beside import BESIDE, is_beside

SOURCE = "scenario"
_SET = "write `prompts: [{name: chat, source: scenario}]`"


def any_of(users: Sequence[Any]) -> bool:
    """Whether some of these user classes write what they send."""
    return any(getattr(user, "scripted", False) for user in users)


def protocols(users: Sequence[Any]) -> dict[str, Any]:
    """The protocols that these user classes speak where no run file says, each with the first that does."""
    found: dict[str, Any] = {}
    for user in users:
        if (protocol := getattr(user, "protocol", None)) is not None:
            found.setdefault(protocol, user)
    return found


def check_protocols(users: Sequence[Any]) -> None:
    """Raises FmloadError for user classes of several protocols, of which one host speaks one."""
    found = protocols(users)
    if len(found) > 1:
        told = " and ".join(f"{user.__name__} {protocol}" for protocol, user in found.items())
        raise FmloadError(f"user classes of several protocols ask one host: {told}",
                          hint="give a run file with an endpoint for each (--fmload-config), load: {side_by_side: "
                               "true}, and each class the name of its own (endpoint = \"…\")")


def remarks(users: Sequence[Any]) -> Iterator[str]:
    """What is to be known of these user classes before the load."""
    others = [user for user in users if getattr(user, "protocol", None) is None]
    if others and any_of(users):
        yield (f"{_named(others)} asks no model: Locust spreads a stage's users over all classes by weight, and those "
               "of this one take no place in it; self.http sends plain HTTP from a user that asks a model")


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
    yield from _beside_problems(run)
    known = {spec.name for spec in run.endpoints}
    for user in users:
        wanted = getattr(user, "endpoint", None)
        if wanted is not None and wanted not in known:
            yield (f"{user.__name__} asks endpoint '{wanted}', which the run does not have: "
                   f"it has {', '.join(sorted(known))}")


def _beside_problems(run: RunFile) -> Iterator[str]:
    """Endpoints for embeddings and rankings are asked beside those at which the users are."""
    beside = [spec for spec in run.endpoints if is_beside(spec)]
    if not beside:
        return
    how, first = BESIDE[made_by(beside[0])], f"endpoint '{beside[0].name}'"
    if len(beside) == len(run.endpoints):
        yield f"{first} {how.does}, and no other one generates text: users of a scenario need one that does"
    elif not run.load.side_by_side:
        yield (f"{first} {how.does}: users of a scenario ask it beside their own (client.{how.call}); write load: "
               "{side_by_side: true}")
    for key in ("find", "requests"):
        if getattr(run.load, key) is not None:
            yield f"load.{key}: does not go with an endpoint that {how.does}; give levels (concurrency) and a window"


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
