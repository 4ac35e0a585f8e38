"""Files, folders and patterns of other tools' results as one sweep: most tools write a file a load level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fmload.base.errors import Faults, FmloadError
from fmload.plugins import IMPORTERS
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, read_source

_SUFFIXES = (".json", ".jsonl", ".yaml", ".yml", ".csv")  # of one run in several forms the first is read
_EACH_ITS_OWN = ("fmbench", "llmperf", "vllm", "sglang")  # tools whose forms hold different things


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was read, a part a file, and what was left out, with the reason."""

    parts: tuple[Published, ...]
    skipped: tuple[str, ...] = ()

    @property
    def tool(self) -> str:
        """The tools' names."""
        return ", ".join(dict.fromkeys(part.tool for part in self.parts))

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(part.source for part in self.parts)

    @property
    def notes(self) -> tuple[str, ...]:
        """How the tools' definitions differ from ours, each once."""
        return tuple(dict.fromkeys(note for part in self.parts for note in part.notes))

    @property
    def name(self) -> str:
        """The file's name, or the folder's that holds all of them."""
        if len(self.parts) == 1:
            return self.parts[0].source.name
        folders = {part.source.parent for part in self.parts}
        return f"{len(self.parts)} files of {folders.pop().name or '.'}" if len(folders) == 1 else (
            f"{len(self.parts)} files")


def read_published(path: Path, tool: str | None = None) -> Published:
    """The stages in a file of another tool (`tool` None: found by its content).

    Raises FmloadError when no importer recognises it, or the one named cannot read it.
    """
    source = read_source(path)
    published = _read_as(source, tool) if tool else _read(source, _recognised(source))
    if not any(row.figures for row in published.rows):
        raise FmloadError(f"{path} has no figures that {published.tool} writes",
                          hint="leave --from out, or name the tool that wrote the file" if tool else
                          "the tool wrote no results into it; look for another file of the run")
    return published


def read_sweep(paths: Sequence[Path], tool: str | None = None) -> Sweep:
    """All that these files, folders and patterns hold, by tool and load.

    A file that is named must be readable; one found in a folder may be another kind of file, and is left out. Raises
    FmloadError for what is named and spoilt, and when nothing is left.
    """
    faults, parts, skipped = Faults(), list[Published](), list[str]()
    for path in paths:
        with faults.kept():
            if path.is_dir():
                found, left_out = _folder(path, tool)
                parts += found
                skipped += left_out
            else:
                parts += [read_published(each, tool) for each in _matching(path)]
    faults.check()
    if not parts:
        names = ", ".join(map(str, paths))
        raise FmloadError(f"{names}: no result of {', '.join(IMPORTERS.names())} in it",
                          hint="give the folder or the files that the tool wrote")
    return Sweep(_labelled(sorted(parts, key=_load_of)), tuple(skipped))


def _matching(path: Path) -> list[Path]:
    if path.exists() or not any(mark in str(path) for mark in "*?["):
        return [path]
    root = Path(path.anchor or ".")
    found = sorted(each for each in root.glob(str(path.relative_to(path.anchor))) if each.is_file())
    if not found:
        raise FmloadError(f"no file matches {path}", hint="give files, a folder, or a pattern such as 'results/*.json'")
    return found


def _folder(folder: Path, tool: str | None) -> tuple[list[Published], list[str]]:
    found, skipped = list[Published](), list[str]()
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and not each.name.startswith(".")):
        try:
            found.append(read_published(path, tool))
        except FmloadError as error:
            skipped.append(error.message)
    kept = [published for published in found if not _again(published, found)]
    skipped += [f"{one.source}: the same run as {one.source.parent} holds in another form"
                for one in found if one not in kept]
    return kept, skipped


def _again(published: Published, found: Iterable[Published]) -> bool:
    """Whether the same folder holds the run in a form that is read with preference."""
    if published.tool in _EACH_ITS_OWN:
        return False
    return any(other.tool == published.tool and other.source.parent == published.source.parent
               and _rank(other.source) < _rank(published.source) for other in found)


def _rank(path: Path) -> int:
    return _SUFFIXES.index(path.suffix) if path.suffix in _SUFFIXES else len(_SUFFIXES)


def _read_as(source: Source, tool: str) -> Published:
    """Read as this tool's; where that fails, the tool whose content it is is named."""
    try:
        return _read(source, tool)
    except FmloadError as error:
        others = [name for name in IMPORTERS.names() if name != tool and IMPORTERS.load(name).recognises(source)]
        if not others:
            raise
        raise FmloadError(f"{error.message} (read as {tool})",
                          hint=f"leave --from out: the content is {others[0]}'s") from error


def _recognised(source: Source) -> str:
    for name in IMPORTERS.names():
        if IMPORTERS.load(name).recognises(source):
            return name
    raise FmloadError(f"{source.path} is not recognised as a result of {', '.join(IMPORTERS.names())}",
                      hint="name the tool with --from, or give a results folder of fmload")


def _read(source: Source, name: str) -> Published:
    published: Published = IMPORTERS.load(name).read(source)
    return replace(published, rows=[row for row in published.rows if row.figures])


def _load_of(published: Published) -> tuple[str, float, str]:
    row = published.rows[0]
    load = row.value("concurrency") or row.value("offered_per_s") or 0.0
    return published.tool, load, str(published.source)


def _labelled(parts: list[Published]) -> tuple[Published, ...]:
    """Rows of the same load in different files have their file's name in the label; within one file, and where the
    files are called alike, they are numbered."""
    counts = Counter(row.label for part in parts for row in part.rows)
    seen = Counter[str]()

    def named(row: Row, part: Published) -> Row:
        alone = counts[row.label] == 1 or len(parts) == 1
        label = row.label if alone else f"{row.label} ({_place(part, parts)})"
        seen[label] += 1
        return row if label == row.label and seen[label] == 1 else replace(
            row, label=label if seen[label] == 1 else f"{label}, {seen[label]}")

    return tuple(replace(part, rows=[named(row, part) for row in part.rows]) for part in parts)


def _place(part: Published, parts: Sequence[Published]) -> str:
    """The file's name; with its folder's where two are called alike."""
    stem = part.source.stem
    alike = {other.source for other in parts if other.source.stem == stem}
    return stem if len(alike) == 1 else f"{part.source.parent.name}/{stem}"
