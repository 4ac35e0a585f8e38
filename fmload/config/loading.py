"""From a file on disk to a `RunFile`, or to everything that is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.base.resources import resource
from fmload.base.text_encoding import save_as_utf8, utf16_of
from fmload.config import overrides, problems, secrets, yaml_lines
from fmload.config.problems import Problem, RunFileError
from fmload.config.schema import RunFile

Model = TypeVar("Model", bound=BaseModel)
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
_LARGEST = 2.0**63  # whole numbers travel in messages, and stand in columns, as 64 bits
_TOLD, _LONGEST = 200, 500  # problems, and characters of one
_HINT = "'fmload help run-file' lists every key; 'fmload init' writes a run file that works"


def find(name: str) -> Path:
    """The run file at this path; else the one of this name that ships: `quickstart`, or `configs/quickstart.yml`.

    Raises FmloadError, with the nearest name, when there is neither.
    """
    path = Path(name)
    if path.exists():
        return path
    if path.parent.name in ("", "configs"):
        with suppress(FmloadError):
            return resource("configs", f"{path.name.removesuffix('.yml')}.yml")
    here = {one.stem: str(one) for one in path.parent.glob("*.y*ml")} | {one: one for one in shipped()}
    near = did_you_mean(path.stem, list(here))
    for stem, meant in here.items():
        near = near.replace(f"'{stem}'", f"'{meant}'")
    raise FmloadError(f"{name}: no such run file{near}",
                      hint="give a run file, the URL of a server (http://host:8000/v1), or the name of a run file that "
                           "ships, such as quickstart")


def shipped() -> list[str]:
    """Names of the run files that ship."""
    return sorted(path.stem for path in resource("configs").glob("*.yml") if "\nendpoints:" in path.read_text("utf-8"))


def load(path: Path, sets: Sequence[str] = ()) -> RunFile:
    """The run file at `path` with `--set` texts over it; relative paths in it start from its folder.

    Raises RunFileError, an FmloadError, with every problem, each with file, line, key, value and remedy.
    """
    return load_as(RunFile, path, _HINT, sets)


def load_as(model: type[Model], path: Path, hint: str, sets: Sequence[str] = ()) -> Model:
    """As `load`, for a file of another kind."""
    try:
        text = _text(path)
        if kind := utf16_of(text.encode()):
            raise FmloadError(f"{path}: {kind} text", hint=save_as_utf8(kind))
    except UnicodeDecodeError as error:
        kind = utf16_of(error.object)
        raise FmloadError(f"{path}: {kind or 'not UTF-8'} text",
                          hint=save_as_utf8(kind) if kind else "save it as UTF-8") from error
    except OSError as error:
        raise FmloadError(f"{path}: {error.strerror or error}", hint=hint) from error
    return _parse_as(model, text, str(path), path.resolve().parent, hint, sets)


def _text(path: Path) -> str:
    """A descriptor that processes inherit (`/dev/fd/3`) is read from its beginning: they may share its place."""
    if path.parent != Path("/dev/fd"):
        with path.open(encoding="utf-8") as file:
            return file.read(yaml_lines.MAX_BYTES + 1)
    descriptor = int(path.name)
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode("utf-8")


def parse(text: str, source: str, folder: Path, sets: Sequence[str] = ()) -> RunFile:
    """As `load`, from text; `source` names it in messages, `folder` is where relative paths start."""
    return _parse_as(RunFile, text, source, folder, _HINT, sets)


def _parse_as(model: type[Model], text: str, source: str, folder: Path, hint: str, sets: Sequence[str]) -> Model:
    document = _document(text, source, hint)
    data, brought = document.value, _override(document.value, sets)
    found = [*document.problems, *_unfit(data, ())]
    try:
        made = model.model_validate(data, context={"folder": folder, "region": data.get("region")})
    except ValidationError as error:
        found += problems.findings(error, data)
    if not found:
        return made
    ordered = sorted(found, key=lambda one: _line(document, one[0]))
    raise RunFileError([Problem(_where(document, brought, source, key), problems.written(key), _cut(message))
                        for key, message in ordered[:_TOLD]], hint=hint)


def _cut(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"


def refuse_missing_variables(run_file: RunFile, path: Path, sets: Sequence[str] = ()) -> None:
    """Raises RunFileError naming the line of every key whose variable this process's environment lacks."""
    absent = [one for kind in ("endpoints", "tenants") for one in secrets.missing(
        [entry.model_dump(by_alias=True) for entry in getattr(run_file, kind)], kind)]
    if absent:
        where = places(path, sets)
        raise RunFileError([Problem(where(key), problems.written(key), f"the environment variable {name} is not set")
                            for key, name in absent], hint=f"export {absent[0][1]}=…, on every worker's host")


def places(path: Path, sets: Sequence[str] = ()) -> Callable[[yaml_lines.Path], str]:
    """Where each key of a run file that `load` has read stands: `file:line`, or the `--set` that brought it."""
    document = _document(path.read_text(encoding="utf-8"), str(path), _HINT)
    return partial(_where, document, _override(document.value, sets), str(path))


def _override(data: Any, sets: Sequence[str]) -> dict[yaml_lines.Path, str]:
    """Put the `--set` texts over the data; returns which of them brought which key."""
    brought = {}
    for setting in sets:
        key, value = overrides.split(setting)
        brought[overrides.apply(data, key, value, setting)] = f"--set {setting}"
    return brought


def _document(text: str, source: str, hint: str) -> yaml_lines.Document:
    try:
        document = yaml_lines.parse(text)
    except yaml_lines.SyntaxProblem as problem:
        raise RunFileError([Problem(f"{source}:{problem.line}", "", str(problem))], hint=hint) from problem
    if not isinstance(document.value, dict):
        what = "the file is empty" if document.value is None else (
            f"the file must be a mapping of keys, not {problems.shown(document.value)}")
        raise RunFileError([Problem(f"{source}:1", "", what)], hint=hint)
    return document


def _unfit(value: Any, path: yaml_lines.Path) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Values that no key can take: numbers that messages and columns cannot hold, characters that no text has."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _unfit(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unfit(item, (*path, index))
    elif isinstance(value, str):
        if unfit := _NO_TEXT.search(value):
            yield path, f"holds {unfit[0]!a}, which is no character of a text; take it out"
    elif isinstance(value, int | float) and not abs(value) < _LARGEST:
        yield path, f"{str(value)[:40]} is larger than any number that can be reckoned with here; write a smaller one"


def _line(document: yaml_lines.Document, key: yaml_lines.Path) -> int:
    """The line of the key, or of the nearest thing above it."""
    return next(document.lines[key[:end]] for end in range(len(key), -1, -1) if key[:end] in document.lines)


def _where(document: yaml_lines.Document, brought: dict[yaml_lines.Path, str], source: str,
           key: yaml_lines.Path) -> str:
    for end in range(len(key), 0, -1):
        if key[:end] in brought:
            return brought[key[:end]]
    return f"{source}:{_line(document, key)}"

