"""What travels: the run file with its prompts as they will be sent, and the results folder on its way back."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from fmload.base.errors import FmloadError
from fmload.config import RunFile, yaml_lines
from fmload.config.dumping import values
from fmload.results.folder import Results

RUN_FILE, PRICES = "run.yml", "prices.yml"


def pack_run(run: RunFile, results: Results, tar: Path) -> None:
    """The run file as resolved, its price table and its prompt sets. It holds names of variables and no secret:
    what is written out is refused before (`refuse_inline_secrets`)."""
    inside = {"prices": PRICES} if run.prices else {}
    text = yaml_lines.write(values(run.model_copy(update=inside)))
    (described := tar.with_name(RUN_FILE)).write_text(text, encoding="utf-8")
    with tarfile.open(tar, "w") as made:
        made.add(described, RUN_FILE)
        if run.prices:
            made.add(run.prices, PRICES)
        for path in sorted(results.prompts.glob("*")):
            made.add(path, f"results/prompts/{path.name}")
    described.unlink()


def pack_results(results: Path, tar: Path) -> None:
    """A results folder, links left out."""
    with tarfile.open(tar, "w:gz", compresslevel=1) as made:
        for path in sorted(results.rglob("*")):
            if path.is_file() and not path.is_symlink():
                made.add(path, str(path.relative_to(results)), recursive=False)


def unpack(tar: Path, folder: Path) -> None:
    """Files and folders alone, and none outside `folder`. Raises FmloadError for a parcel that is damaged."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(tar) as packed:
            packed.extractall(folder, members=_plain(packed), filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FmloadError(f"{tar.name} cannot be unpacked: {error}", hint="is the disk full, or the parcel damaged?"
                          ) from error


def _plain(packed: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    return (member for member in packed if member.isfile() or member.isdir())
