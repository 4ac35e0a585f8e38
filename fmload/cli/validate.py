"""`fmload validate`: check a run file, and show what it would do."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from fmload import config
from fmload.base.errors import EXIT_OK, FmloadError
from fmload.base.units import format_duration
from fmload.cli import stacks
from fmload.config import RunFile
from fmload.config.control import WarmupSpec
from fmload.model.stage import Stage
from fmload.plan.stages import plan, steps_of
from fmload.prompts import wanted
from fmload.prompts.checking import check
from fmload.prompts.store import counted_by
from fmload.stacks.candidates import varies


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="a run file, or the name of one that ships")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="replace a key of the run file (repeatable)")
    parser.add_argument("--json-schema", "--schema", action="store_true", dest="json_schema",
                        help="print the run file's JSON Schema, for editors")


def run(args: argparse.Namespace) -> int:
    """Print the plan, or the schema. Raises FmloadError with all problems of the file."""
    if args.json_schema:
        from fmload.config.json_schema import json_schema

        print(json.dumps(json_schema(), indent=2))
        return EXIT_OK
    if args.config is None:
        raise FmloadError("no run file given", hint="fmload validate CONFIG")
    path = config.find(args.config)
    run_file = config.load(path, args.set)
    stages = plan(run_file)
    check(run_file, path, args.set, fetch=False)
    console = Console(highlight=False)
    if varies(run_file):
        console.print(_prompt_table(run_file), end="\n\n")
        stacks.show(run_file, console)
    else:
        _print(run_file, stages, console)
    for warning in _warnings(run_file):
        print(f"warning: {warning}")
    print(f"{args.config}: OK")
    return EXIT_OK


def estimated_s(stages: list[Stage]) -> float | None:
    """Seconds that the steps take, without drains; None when requests or a trace decide."""
    steps = [step[0] for step in steps_of(stages)]
    windows = [stage.window_s for stage in steps]
    if any(window is None for window in windows):
        return None
    return sum(stage.ramp_s + stage.warmup_s + (stage.window_s or 0) for stage in steps)


def _print(run_file: RunFile, stages: list[Stage], console: Console) -> None:
    console.print(_stage_table(stages), _prompt_table(run_file), sep="\n\n", end="\n\n")
    load, seconds = run_file.load, estimated_s(stages)
    lasts = "as long as requests and traces take" if seconds is None else (
        f"{'at most' if any(stage.needs_requests for stage in stages) else 'about'} {format_duration(seconds)} in all")
    ramp, drain = map(format_duration, (stages[0].ramp_s, load.drain_s))
    if load.find is not None:
        console.print(f"the first stages of a search from {load.find.from_:g} to {load.find.to:g}; the others depend "
                      "on how these do", soft_wrap=True)
    console.print(f"{len(stages)} stages in {len(steps_of(stages))} steps, each of {ramp} ramp, {_warmup(load.warmup)} "
                  f"and up to {drain} drain; {lasts}", soft_wrap=True)


def _stage_table(stages: list[Stage]) -> Table:
    table = Table("stage", "step", "endpoint", "prompts", "load", "window", box=None)
    for stage in stages:
        table.add_row(str(stage.stage), str(stage.step), stage.endpoint, stage.prompt_set, stage.load.text,
                      _window(stage))
    return table


def _warmup(spec: WarmupSpec) -> str:
    limit = format_duration(spec.limit_s)
    if spec.requests is not None:
        return f"warm-up of {spec.requests} requests ({limit} at most)"
    return f"warm-up until {spec.steady} is steady ({limit} at most)" if spec.steady else f"{limit} warm-up"


def _window(stage: Stage) -> str:
    if stage.until is not None and stage.window_s is not None:
        share = 100 * stage.until.within
        return f"until {stage.until.metric} ± {share:.3g} %, {format_duration(stage.window_s)} at most"
    if stage.window_s is not None:
        return format_duration(stage.window_s)
    return "the trace's" if stage.load.kind == "trace" else _requests(stage)


def _requests(stage: Stage) -> str:
    if stage.exact:
        return f"exactly {stage.requests:,} requests" if stage.requests else "each prompt of the set once"
    return f"{stage.requests} requests"


def _prompt_table(run_file: RunFile) -> Table:
    table = Table("prompt set", "source", "prompts", "tokenizers", box=None)
    tokenizers = ", ".join(dict.fromkeys(counted_by(endpoint) for endpoint in run_file.endpoints))
    for spec in run_file.prompts:
        count = wanted(run_file, spec)
        table.add_row(spec.name, spec.source, "all there are" if count is None else f"{count:,}", tokenizers)
    return table


def _warnings(run_file: RunFile) -> Iterator[str]:
    """What keeps an endpoint from being reached as things are: a key that the environment does not hold."""
    for spec in run_file.endpoints:
        for name, variable in spec.options.model_dump().items():
            if name.endswith("_env") and isinstance(variable, str) and variable not in os.environ:
                yield f"endpoint '{spec.name}': {name}: {variable} is not set in the environment"
