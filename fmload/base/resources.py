"""Files that travel with the project, in a checkout and in a wheel alike; and how YAML and JSON lines are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fmload.base.errors import FmloadError

_PACKAGE = Path(__file__).resolve().parents[1]


def resource(*parts: str) -> Path:
    """The path of `configs/...` or `locustfiles/...`. Raises FmloadError when the installation lacks it."""
    for base in (_PACKAGE / "_resources", _PACKAGE.parent):
        path = base.joinpath(*parts)
        if path.exists():
            return path
    raise FmloadError(f"this installation lacks {'/'.join(parts)}", hint="reinstall fmload")


@cache
def table(name: str) -> Any:
    """A table of `configs/` that ships (`images.yml`), read once."""
    return read_yaml(resource("configs", name))


def read_json_lines(path: Path, damaged: list[int] | None = None) -> Iterator[dict[str, Any]]:
    """The lines of a file that a process appends to; none where there is no file.

    A line that a crash has torn, or that holds no mapping, is left out; its number goes to `damaged`. Raises
    FmloadError for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                found = _mapping(line)
                if found is not None:
                    yield found
                elif damaged is not None:
                    damaged.append(number)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FmloadError(f"{path} cannot be read: {error.strerror}", hint="mind its permissions") from error


def _mapping(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, by libyaml where PyYAML was built with it (ten times as fast)."""
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
