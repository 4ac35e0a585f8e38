"""Arrival processes of an open loop: absolute instants, seeded, and dealt to workers without changing the process.

A process is a function `(rate_per_s, lead_s, draw, options)` that yields arrival instants in seconds from the stage's
start, ascending, for ever. `lead_s` is the time before the window opens (ramp and warm-up); `options` is its `Options`
model, declared with `takes`. It is one function and one line in `fmload.plugins`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fmload.arrivals.mix import of_component
from fmload.base.errors import FmloadError
from fmload.plugins import ARRIVALS

Process = TypeVar("Process", bound=Callable[..., Iterator[float]])


def takes(options: type[BaseModel], steady: bool = True) -> Callable[[Process], Process]:
    """Declares the options of an arrival process: the keys that may stand beside `process` in the run file; and
    whether its rate stays the same."""
    def declared(process: Process) -> Process:
        process.Options, process.steady = options, steady  # type: ignore[attr-defined]
        return process
    return declared


def schedule(arrivals: Mapping[str, Any], rate_per_s: float, seed: str, lead_s: float = 0.0) -> Iterator[float]:
    """The whole process, in seconds from the stage's start. `arrivals` is `{"process": name, **options}`.

    Raises FmloadError for a process or options that do not exist.
    """
    from fmload.config.model import options_model

    given = dict(arrivals)
    name = given.pop("process", "constant")
    process = ARRIVALS.load(name)
    try:
        options = options_model(ARRIVALS, name).model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(["load.arrivals", *map(str, first["loc"])])
        raise FmloadError(f"{where}: {first['msg']}") from error
    return process(rate_per_s, lead_s, random.Random(seed), options)  # type: ignore[no-any-return]


def of_stage(asked: Mapping[str, Any]) -> Iterator[float | None]:
    """The arrivals of a stage as `fmload_step` and stages.json tell of them: `arrivals`, `value`, `seed`, `lead_s`, and
    `mix` of a component (`rate`, `shares`, `component`), in whose process those of others are None."""
    whole = asked.get("mix")
    process = schedule(asked.get("arrivals") or {}, whole["rate"] if whole else asked["value"], asked["seed"],
                       asked["lead_s"])
    return of_component(process, whole["shares"], whole["component"], asked["seed"]) if whole else process


def share(instants: Iterator[Any], index: int, workers: int) -> Iterator[Any]:
    """Every `workers`-th arrival from the `index`-th on: the shares of all workers together are the process itself."""
    return itertools.islice(instants, index, None, workers)
