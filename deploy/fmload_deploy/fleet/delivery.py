"""Results on their way through a mailbox: first a list of parts with their checksums, then the parts.

A host that is killed while it sends leaves the list and some whole parts behind, so that what is missing is known and
told, and what is cut short or damaged on the way is never taken for whole. Who fetches again fetches the rest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fmload.base.errors import FmloadError
from fmload_deploy.aws import Busy
from fmload_deploy.fleet.mailbox import RESULTS, Mailbox

PART_BYTES = 32 << 20
_TRIES = 3  # for a part that comes damaged, or not at all, before it is told


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the packed results, a file of the mailbox."""

    name: str
    size_bytes: int
    sha256: str


def send(tar: Path, mailbox: Mailbox, insist: Callable[[Callable[[], None]], None]) -> None:
    """Put the packed results into the mailbox. `insist` calls what it is given until the mailbox takes it."""
    parts = [Part(f"results.{number:04d}", len(data), hashlib.sha256(data).hexdigest())
             for number, data in enumerate(_pieces(tar))]
    told = json.dumps({"parts": [asdict(part) for part in parts]})
    insist(lambda: mailbox.write(RESULTS, told))
    piece = tar.with_name(f"{tar.name}.part")
    for part, data in zip(parts, _pieces(tar), strict=True):
        piece.write_bytes(data)
        insist(lambda part=part: mailbox.send(part.name, piece))  # type: ignore[misc]
    piece.unlink(missing_ok=True)


def _pieces(tar: Path) -> Iterator[bytes]:
    with tar.open("rb") as file:
        while data := file.read(PART_BYTES):
            yield data


def fetch(mailbox: Mailbox, folder: Path) -> list[Path] | None:
    """The parts of the results in `folder`, in order; None before there are any. What lies there whole is not fetched
    again.

    Raises FmloadError naming what is missing or damaged; the parts that have come are kept.
    """
    text = mailbox.read(RESULTS)
    if text is None:
        return None
    parts = _listed(text)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [part for part in parts if not _came(mailbox, part, folder / part.name)]
    if missing:
        raise FmloadError(_told(parts, missing), hint=(
            f"what came is kept in {folder}, and the same command fetches the rest; a host that was killed while it "
            f"sent has sent no more: cat {folder}/results.* | tar -xzf - unpacks what came before the gap"))
    return [folder / part.name for part in parts]


def _listed(text: str) -> list[Part]:
    try:
        return [Part(**{**one, "name": Path(one["name"]).name}) for one in json.loads(text)["parts"]]
    except (ValueError, TypeError, KeyError) as error:
        raise FmloadError(f"the list of the results ({RESULTS}) cannot be read: {error}",
                          hint="is the fleet's fmload of another version?") from error


def _came(mailbox: Mailbox, part: Part, path: Path) -> bool:
    """Whether the part is here whole, after it was fetched if it was not."""
    aside = path.with_name(f".{part.name}")
    try:
        for _ in range(_TRIES):
            if _is_whole(path, part):
                return True
            with suppress(Busy):
                if mailbox.fetch(part.name, aside) and _is_whole(aside, part):
                    aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return _is_whole(path, part)


def _is_whole(path: Path, part: Part) -> bool:
    if not path.is_file() or path.stat().st_size != part.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == part.sha256


def _told(parts: Sequence[Part], missing: Sequence[Part]) -> str:
    whole = sum(part.size_bytes for part in parts)
    here = whole - sum(part.size_bytes for part in missing)
    names = ", ".join(part.name for part in missing[:5]) + (", …" if len(missing) > 5 else "")
    return (f"{here / 1e6:.1f} of {whole / 1e6:.1f} MB of the results have come; missing or damaged: {names} "
            f"({len(missing)} of {len(parts)} parts)")


def joined(parts: Sequence[Path], tar: Path) -> Path:
    """The parts as the one file that they were."""
    with tar.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
    return tar
