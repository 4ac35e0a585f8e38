"""The options of `fmload fleet`'s targets as flags: each target names its own."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from fmload.base.errors import FmloadError
from fmload.cli.arguments import dollars, positive
from fmload.config.model import options_model
from fmload.plugins import FLEETS


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for every option of every target; None where it is not given."""
    told: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for target, options in _of_targets().items():
        for name, field in options.model_fields.items():
            told.setdefault(name, []).append(f"{target}: {field.description}" if field.description else target)
            kinds[name] = str(field.annotation)
    group = parser.add_argument_group("options of the targets")
    for name, texts in told.items():
        kind = dollars if "float" in kinds[name] else positive if "int" in kinds[name] else str
        group.add_argument(_flag(name), type=kind, metavar=name.rpartition("_")[2].upper(),
                           help="; ".join(texts).replace("%", "%%"))


def _of_targets() -> dict[str, type[BaseModel]]:
    """By target; one of another distribution that cannot be loaded is told of when it is asked for."""
    found = {}
    for target in FLEETS.in_order():
        with suppress(FmloadError, ImportError):
            found[target] = options_model(FLEETS, target)
    return found


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The target's options that were given. Raises FmloadError for those of other targets, and for bad values."""
    own = options_model(FLEETS, args.target)
    everybody = {name for options in _of_targets().values() for name in options.model_fields}
    found = {name: value for name in sorted(everybody) if (value := getattr(args, name)) is not None}
    strange = sorted(found.keys() - own.model_fields.keys())
    if strange:
        raise FmloadError(f"{', '.join(map(_flag, strange))}: not of --target {args.target}",
                          hint=f"it has {', '.join(map(_flag, own.model_fields))}")
    try:
        own.model_validate(found)
    except ValidationError as error:
        told = "; ".join(f"{_flag(str(one['loc'][0] if one['loc'] else ''))}: {one['msg']}" for one in error.errors())
        raise FmloadError(f"--target {args.target}: {told}") from error
    return found
