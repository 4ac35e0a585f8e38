"""What is wrong with the files of a run file's prompt sets: all of it, before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config.loading import places
from fmload.config.problems import Problem, RunFileError, written
from fmload.config.schema import PromptSpec, RunFile
from fmload.prompts import files
from fmload.prompts.preparation import is_kept, source_of
from fmload.prompts.template import Template

Key = tuple[str | int, ...]


def check(run_file: RunFile, path: Path | None, sets: Sequence[str] = (), fetch: bool = True) -> None:
    """Raises RunFileError with every problem of every prompt set, each at its line of the run file at `path`; without
    one (a run that flags describe) the problems alone.

    Rows are read, but no text is made or counted. Files in S3 and on the Hub are brought here, and what lies prepared
    in the cache is taken for good; without `fetch` neither is looked up.
    """
    found = [(("prompts", index, *key), error) for index, spec in enumerate(run_file.prompts)
             for key, error in _wrong(run_file, spec, fetch)]
    if found:
        where = places(path, sets) if path else lambda key: "the flags"
        raise RunFileError([Problem(where(key), written(key), text) for key, error in found for text in error.told()])


def _wrong(run_file: RunFile, spec: PromptSpec, fetch: bool) -> list[tuple[Key, FmloadError]]:
    """The problems of one set, each with the key of the set that it belongs to."""
    if fetch and is_kept(run_file, spec):
        return []
    needed = list(_needed(spec))
    away = [name for _, name, _ in needed if not fetch and files.is_elsewhere(name)]
    missing = [(key, error) for key, name, look in needed
               if (error := _error_of(files.check_form if name in away else look, name))]
    if missing or away:
        return missing
    error = _error_of(_read_rows, run_file, spec, fetch)
    return [((), error)] if error else []


def _needed(spec: PromptSpec) -> Iterator[tuple[Key, str, Callable[[str], object]]]:
    """Key, name and reader of what a set is made from."""
    for index, name in enumerate(getattr(spec.options, "files", None) or ()):
        yield ("files", index), name, lambda name: files.find([name])
    if spec.template:
        yield ("template",), spec.template, Template.load


def _read_rows(run_file: RunFile, spec: PromptSpec, fetch: bool) -> None:
    source = source_of(run_file, spec)
    if hasattr(source, "names") and (fetch or not any(map(files.is_elsewhere, source.names()))):
        source.items(f"{run_file.seed}/{spec.name}")


def _error_of(action: Callable[..., object], *arguments: Any) -> FmloadError | None:
    try:
        action(*arguments)
    except FmloadError as error:
        return error
    return None
