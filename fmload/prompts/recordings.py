"""Recordings to be transcribed: files of a folder, or those that a manifest names, with what is said in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from fmload.audio import lengths
from fmload.audio.played import NotSound
from fmload.base.errors import Faults, FmloadError
from fmload.config.model import Rule, Strict
from fmload.config.problems import shown
from fmload.config.schema import PromptSpec
from fmload.config.values import RunPath
from fmload.model.audio import Audio
from fmload.model.prompt import Prompt
from fmload.prompts.tokenizer import Tokenizer

MOST_BYTES = 256 << 20  # of one recording
_AGREE = 0.02  # of a stated length, and
_AGREE_S = 0.2
_PATHS, _TEXTS = ("audio_filepath", "audio", "file", "path"), ("text", "reference", "transcript")


@dataclass(frozen=True, slots=True)
class Recording:
    """A file, where it was named, and what is stated of it."""

    path: Path
    where: str
    stated_s: float | None = None
    text: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


class Recordings:
    """Each file is a request. A text file of the same name beside it (`a.wav`, `a.txt`) is what is said in it."""

    without = ("template", "filter.language")

    class Options(Strict):
        """Keys of `source: recordings`: a folder or a manifest."""

        folder: RunPath | None = Field(None, description="its WAV, FLAC, MP3, Ogg, AAC … files, by name")
        manifest: RunPath | None = Field(
            None, description="JSON lines with audio_filepath, duration (s), text, language, as NeMo writes them")

        @classmethod
        def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
            if ("folder" in given) == ("manifest" in given):
                yield "folder", "give it or manifest, one of the two"

    def __init__(self, name: str, options: Any) -> None:
        """`options`: the source's own `Options`."""
        self.name, self.options = name, options

    @classmethod
    def from_spec(cls, spec: PromptSpec) -> Recordings:
        return cls(spec.name, spec.options)

    def fingerprint(self) -> str:
        """Of every file the name, the size and the time of its last change; of a manifest what it says."""
        named = [(str(each.path), each.text, each.stated_s, _stamp(each.path)) for each in self._all()]
        return hashlib.sha256(repr(named).encode()).hexdigest()

    def items(self, seed: str) -> Iterator[Recording]:
        return iter(self._all())

    def make(self, item: Recording, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        sound = Audio(length_s(item), path=str(item.path.resolve()))
        return [Prompt(id="", prompt_set=self.name, text="", audio=sound.recipe(), reference=item.text,
                       parameters=item.parameters)]

    def _all(self) -> list[Recording]:
        found = _of_folder(Path(self.options.folder)) if self.options.folder else _of_manifest(
            Path(self.options.manifest))
        if not found:
            raise FmloadError(f"{self.options.folder or self.options.manifest}: no recording there",
                              hint=f"files whose names end with {', '.join(sorted(lengths.TYPES))}")
        return found


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_size, there.st_mtime_ns


def _of_folder(folder: Path) -> list[Recording]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in lengths.TYPES)
    except OSError as error:
        raise FmloadError(f"{folder}: {error.strerror}", hint="name the folder that the recordings lie in") from error
    return [Recording(path, str(path), text=_text_beside(path)) for path in paths]


def _text_beside(path: Path) -> str | None:
    beside = path.with_suffix(".txt")
    return beside.read_text("utf-8", "replace").strip() if beside.is_file() else None


def _of_manifest(manifest: Path) -> list[Recording]:
    try:
        lines = manifest.read_bytes().splitlines()
    except OSError as error:
        raise FmloadError(f"{manifest}: {error.strerror}", hint="name a file of JSON lines") from error
    faults, found = Faults(), []
    for number, line in enumerate(lines, 1):
        if line.strip():
            with faults.kept():
                found.append(_named(line, f"{manifest}, line {number}", manifest.parent))
    faults.check()
    return found


def _named(line: bytes, where: str, folder: Path) -> Recording:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise FmloadError(f"{where}: not JSON: {error}") from error
    path = next((row[key] for key in _PATHS if isinstance(row.get(key), str)), None) if isinstance(row, dict) else None
    if path is None:
        raise FmloadError(f"{where}: names no file", hint=f"one of {', '.join(_PATHS)}")
    stated = row.get("duration")
    if stated is not None and (isinstance(stated, bool) or not isinstance(stated, int | float) or not stated > 0):
        raise FmloadError(f"{where}: duration: must be seconds, not {shown(stated)}")
    text = next((row[key] for key in _TEXTS if isinstance(row.get(key), str)), None)
    language = {"language": row["language"]} if isinstance(row.get("language"), str) else {}
    return Recording(folder / path, where, stated, text, language)


def length_s(item: Recording) -> float:
    """How long a recording plays: by its own header and bytes; where its form does not tell, as is stated.

    Raises FmloadError for a file that cannot be read, holds no sound, or contradicts itself or what is stated.
    """
    try:
        if item.path.stat().st_size > MOST_BYTES:
            raise FmloadError(f"{item.where}: larger than {MOST_BYTES >> 20} MiB", hint="cut it into parts")
        played = lengths.read(item.path.read_bytes())
    except OSError as error:
        raise FmloadError(f"{item.where}: {item.path}: {error.strerror}") from error
    except NotSound as error:
        raise FmloadError(f"{item.where}: {error}", hint="write the file anew, with ffmpeg or sox") from error
    told = played.seconds if played is not None else None
    if told is None:
        return _stated(item, empty=played is None and item.path.suffix.lower() in (".wav", ".mp3", ".ogg", ".opus"))
    if item.stated_s is not None and abs(told - item.stated_s) > _AGREE * told + _AGREE_S:
        raise FmloadError(f"{item.where}: plays {told:.4g} s, and {item.stated_s:.4g} s are stated",
                          hint="correct the manifest; or leave duration out")
    return told


def _stated(item: Recording, empty: bool) -> float:
    if empty:
        raise FmloadError(f"{item.where}: no sound in it", hint="leave it out")
    if item.stated_s is None:
        raise FmloadError(f"{item.where}: its form does not tell how long it plays",
                          hint="state it in a manifest (duration); or convert it to WAV or FLAC")
    return item.stated_s
