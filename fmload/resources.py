"""Files that travel with the project (configs, locustfiles), found in a checkout and in a wheel alike."""

from __future__ import annotations

from pathlib import Path

from fmload.errors import FmloadError

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """The path of `configs/...` or `locustfiles/...`. Raises FmloadError when the installation lacks it."""
    for base in (_PACKAGE / "_resources", _PACKAGE.parent):
        path = base.joinpath(*parts)
        if path.exists():
            return path
    raise FmloadError(f"this installation lacks {'/'.join(parts)}", hint="reinstall fmload")
