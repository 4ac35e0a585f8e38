"""Results that are packed: gzip of one file, or the `output.tar.gz` that a SageMaker AI benchmark job leaves in S3."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path

from fmload.base.errors import FmloadError

GZIP = b"\x1f\x8b"
_WANTED = ("profile_export_aiperf.json", "profile_export_aiperf.csv", "profile_export.jsonl")  # the first that is there


def unpacked(path: Path, data: bytes, limit: int) -> bytes:
    """The content of gzip data: of a tar the result file of AIPerf, or its only JSON or CSV.

    Raises FmloadError where it is spoilt, larger than `limit` bytes, or holds several results.
    """
    plain = _inflated(path, data, limit)
    if not tarfile.is_tarfile(io.BytesIO(plain)):
        return plain
    try:
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            return _member(path, archive, limit)
    except (tarfile.TarError, OSError) as error:
        raise FmloadError(f"{path} is a spoilt tar: {error}", hint="load it from S3 again") from error


def _inflated(path: Path, data: bytes, limit: int) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            plain = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FmloadError(f"{path} is cut off or no gzip: {error}", hint="take the file from a copy") from error
    if len(plain) > limit:
        raise _too_large(path, limit)
    return plain


def _too_large(path: Path, limit: int) -> FmloadError:
    return FmloadError(f"{path} unpacks to more than {limit / 2**30:.3g} GiB", hint="give the tool's summary file")


def _member(path: Path, archive: tarfile.TarFile, limit: int) -> bytes:
    files = {member.name: member for member in archive if member.isfile()}
    named = [name for wanted in _WANTED for name in files if Path(name).name == wanted]
    kept = named[:1] or [name for name in files if Path(name).suffix in (".json", ".jsonl", ".csv")]
    if len(kept) != 1:
        found = ", ".join(sorted(files)[:6]) or "nothing"
        raise FmloadError(f"{path} holds {found}, and not one result file",
                          hint="unpack it, and give the file or the folder that the tool wrote")
    if files[kept[0]].size > limit:  # a sparse file tells of more than it holds
        raise _too_large(path, limit)
    content = archive.extractfile(files[kept[0]])
    return content.read() if content else b""
