"""Files that travel with the project (configs, locustfiles), found in a checkout and in a wheel alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fmload.errors import FmloadError

_PACKAGE = Path(__file__).resolve().parent


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


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, by libyaml where PyYAML was built with it (ten times as fast)."""
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
