"""`search.json`: candidates and trials of a search over stacks. Read and written here alone, aside and renamed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError
from fmload.model.stack import Candidate, Figure, StackSearch, Trial

NAME = "search.json"
SCHEMA = 1


def exists(folder: Path) -> bool:
    """Whether the folder holds a search over stacks."""
    return (folder / NAME).exists()


def write(folder: Path, search: StackSearch) -> None:
    """Write it so that whoever reads it finds either what was there before or all of this."""
    aside = folder / f"{NAME}.new"
    with aside.open("w", encoding="utf-8") as file:
        json.dump({"schema": SCHEMA, **asdict(search)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / NAME)


def read(folder: Path) -> StackSearch:
    """The search of the folder. Raises FmloadError where there is none, for a damaged file, and for a later schema."""
    path = folder / NAME
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FmloadError(f"{folder} holds no search over stacks: there is no {NAME}",
                          hint="fmload run RUNFILE, of a run file with vary, makes one") from error
    except (OSError, ValueError) as error:
        raise FmloadError(f"{path} cannot be read: {error}", hint="the trials' own folders are whole; open those") from error
    if not isinstance(told, dict) or told.get("schema", 0) > SCHEMA:
        raise FmloadError(f"{path} is of a later version of fmload", hint="read it with that version")
    try:
        return _search(told)
    except (KeyError, TypeError) as error:
        raise FmloadError(f"{path} is damaged: {error}", hint="the trials' own folders are whole; open those") from error


def _search(told: dict[str, Any]) -> StackSearch:
    said = {key: value for key, value in told.items() if key not in ("schema", "candidates", "trials")}
    return StackSearch(**said, candidates=[Candidate(**one) for one in told["candidates"]],
                       trials=[Trial(**{**one, "figure": Figure(**one["figure"])}) for one in told["trials"]])
