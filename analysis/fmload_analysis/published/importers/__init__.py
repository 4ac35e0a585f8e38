"""Files of other tools as stages: a table of importers, each one file with `recognises` and `read`."""

from __future__ import annotations

from pathlib import Path

from fmload.base.errors import FmloadError
from fmload.plugins import IMPORTERS
from fmload_analysis.published.published import Published


def read_published(path: Path, tool: str | None = None) -> Published:
    """The stages in a file of another tool (`tool` None: found by its content).

    Raises FmloadError when no importer recognises it, or the one named cannot read it.
    """
    text = _text(path)
    names = [tool] if tool else IMPORTERS.names()
    for name in names:
        importer = IMPORTERS.load(name)
        if tool or importer.recognises(path, text):
            published: Published = importer.read(path, text)
            if not published.rows:
                raise FmloadError(f"{path}: no results found in this {name} file")
            return published
    raise FmloadError(f"{path}: not recognised as a result of {', '.join(IMPORTERS.names())}",
                      hint="name the tool with --from, or give a results folder of fmload")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FmloadError(f"cannot read {path}: {reason}",
                          hint="give a results folder, or a file of another tool's results") from error
