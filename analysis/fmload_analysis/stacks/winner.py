"""The winner ready to use: its run file without `vary`, and the server's own command line or configuration."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config import dump, yaml_lines
from fmload.config.dumping import masked
from fmload.config.loading import load
from fmload.config.schema import RunFile
from fmload.model.stack import StackSearch
from fmload.results.folder import Results
from fmload.stacks.candidates import Stack, shown, stacks_of, trial_run
from fmload_analysis.stacks.ranking import winner
from fmload_analysis.stacks.sections import Winner
from fmload_analysis.stacks.suggestion import Suggestion, suggestion


def ready(root: Path, search: StackSearch) -> Winner | None:
    """The winner's run file and its server; None while there is none, or where run.yml is not there to make it of."""
    best = winner(search)
    if best is None:
        return None
    try:
        run = load(Results(root).run_yml)
        stack = next((one for one in stacks_of(run) if one.candidate.name == best.candidate.name), None)
    except FmloadError:  # damaged, or a secret was taken out that it cannot be without
        return None
    if stack is None:
        return None
    found = suggestion(search)
    after = next_of(run, stack, found) if found is not None and found.candidate is None else None
    return Winner(run_file_of(run, stack), server_of(stack), after)


def run_file_of(run: RunFile, stack: Stack) -> str:
    """The run file with the candidate in the place of all that varies."""
    return (f"# The winner of the search {run.name}: {stack.candidate.text}\n"
            f"{dump(trial_run(run, stack, 1.0, run.max_cost))}")


def next_of(run: RunFile, stack: Stack, found: Suggestion) -> str | None:
    """A run file that lays the suggestion beside the winner: its endpoint with all settings fixed but one, which has
    the winner's value and the suggested one. None where the setting is a name for several keys."""
    spec = next(one for one in run.endpoints if one.name == stack.candidate.base)
    if not isinstance(spec.vary.get(found.key), list):
        return None
    fixed = {key: _only(key, values, stack.candidate.settings[key]) for key, values in spec.vary.items()}
    value = float(found.value)
    fixed[found.key] = [*fixed[found.key], int(value) if value.is_integer() else value]
    kept = [one for one in run.telemetry if getattr(one.options, "endpoint", None) in (None, spec.name)]
    beside = spec.model_copy(update={"vary": fixed, "exclude": [], "require": []})
    return (f"# What to try after the search {run.name}: {found.key} {found.value} in the place of {found.before}\n"
            f"{dump(run.model_copy(update={'endpoints': [beside], 'telemetry': kept}))}")


def _only(key: str, values: Any, setting: str) -> Any:
    """The one value of a key of `vary` that a setting shows."""
    if isinstance(values, dict):
        return {setting: values[setting]}
    return [next(value for value in values if shown(key, value) == setting)]


def server_of(stack: Stack) -> str:
    """What serves it: a command as a shell takes it, or the keys of its deployment."""
    deploy = stack.spec.deploy
    if deploy is None:
        return f"# served at {stack.spec.url or ', '.join(stack.spec.urls or [])}"
    options = deploy.options
    if emulator := getattr(options, "emulator", None):
        return shlex.join(["fmload", "emulate", "--profile", emulator, *getattr(options, "emulator_options", ())])
    if command := getattr(options, "command", None):
        env = " ".join(f"{key}={shlex.quote(str(value))}" for key, value in masked(dict(options.env), "env").items())
        return f"{env} {shlex.join(command)}".strip()
    said: dict[str, Any] = deploy.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return yaml_lines.write(masked(said)).rstrip()
