"""Files that prompts come from: here, in S3 or on the Hugging Face Hub, brought here and read row by row."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import IO, Any

from fmload.base.errors import Faults, FmloadError, first_line
from fmload.base.registry import did_you_mean
from fmload.prompts import cache, formats

_S3_FORM = re.compile(r"s3://[\w.:-]+(/|$)")
MAX_UNPACKED_BYTES = 2 << 30  # of one packed file: a small one may unpack to more than the memory
_HUB_FORM = re.compile(r"hf:[^/]+/[^/]+/.*[^/]$")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its columns, where it stood (`file:line`, the file as the run file names it), and the file's folder."""

    values: dict[str, Any]
    where: str
    folder: str


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is here: as the run file names it, its path, and the member inside it when it is a zip."""

    name: str
    path: Path
    member: str | None = None

    @property
    def suffix(self) -> str:
        """The file's kind: `.jsonl`, `.csv`, …; that before `.gz`."""
        name = (self.member or self.name).removesuffix(".gz")
        return Path(name).suffix.lower()


def find(names: Sequence[str]) -> list[Found]:
    """The files that paths and patterns name, sorted within each pattern. `a.zip!b.jsonl` is a file in an archive;
    `s3://bucket/key` may hold a pattern; `hf:org/name[@revision]/path` is a file of a data set on the Hub.

    Raises FmloadError with all names that find nothing.
    """
    faults, found = Faults(), []
    for name in names:
        with faults.kept():
            found += _find(name)
    faults.check()
    return found


def is_elsewhere(name: str) -> bool:
    """Whether a name means a file in S3 or on the Hugging Face Hub."""
    return name.startswith(("s3://", "hf:"))


def check_form(name: str) -> None:
    """Raises FmloadError for an address in S3 or on the Hub that can be none."""
    address = name.partition("!")[0]
    if address.startswith("s3://") and not _S3_FORM.match(address):
        raise FmloadError(f"{address}: not of the form s3://bucket/key; patterns (*) go into the key",
                          hint="for example s3://my-bucket/prompts/*.jsonl")
    if address.startswith("hf:") and not _HUB_FORM.match(address):
        raise FmloadError(f"{address}: not of the form hf:organisation/name/path/of/file",
                          hint="for example hf:THUDM/LongBench/data.zip!data/hotpotqa.jsonl")


def fingerprint(found: Sequence[Found]) -> str:
    """Changes when the content of any of the files changes."""
    return "\n".join(f"{file.name} {cache.file_hash(file.path)}" for file in found)


def rows(found: Sequence[Found], faults: Faults) -> Iterator[Row]:
    """All rows of all files, in order; what cannot be read goes to `faults`, with file and line."""
    for file in found:
        with faults.kept():
            for where, values in formats.rows(content(file), file.suffix, file.name):
                if isinstance(values, FmloadError):
                    faults.add(values)
                else:
                    yield Row(values, where, str(file.path.parent))


def _find(name: str) -> list[Found]:
    check_form(name)
    outer, _, member = name.partition("!")
    if outer.startswith("s3://"):
        return [Found(uri, path, member or None) for uri, path in _from_s3(outer)]
    if outer.startswith("hf:"):
        return [Found(name, _from_hub(outer), member or None)]
    there = sorted(glob(outer, recursive=True))  # noqa: PTH207  (may be absolute)
    paths = [path for path in there if Path(path).is_file()]
    if not paths:
        raise _no_file(outer, there) if there else _not_there(outer)
    return [Found(path, Path(path), member or None) for path in paths]


def _no_file(name: str, there: Sequence[str]) -> FmloadError:
    folder = next((path for path in there if Path(path).is_dir()), None)
    if folder is None:
        return FmloadError(f"{name}: not a file, or a link to one that is gone", hint="name the file itself")
    return FmloadError(f"{name}: a folder, not a file", hint=f"name its files, for example {folder}/*.jsonl")


def _not_there(name: str) -> FmloadError:
    folder = Path(name).parent
    if any(mark in name for mark in "*?["):
        why = "; nothing there has a name like this"
    elif not folder.is_dir():
        why = f"; there is no folder {folder}"
    else:
        why = did_you_mean(Path(name).name, [path.name for path in folder.iterdir()])
    return FmloadError(f"{name}: no such file{why}", hint="relative paths start from the run file's folder")


def _from_s3(uri: str) -> Iterator[tuple[str, Path]]:
    """The objects that an S3 address names, brought here; one that has not changed since is not brought again."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    fixed = key[:min((key.find(mark) for mark in "*?[" if mark in key), default=len(key))]
    try:
        client = boto3.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=fixed)
        objects = sorted((one["Key"], one["ETag"]) for page in pages for one in page.get("Contents", ())
                         if not one["Key"].endswith("/")  # what marks a folder
                         and (one["Key"] == key or fnmatch.fnmatchcase(one["Key"], key)))
        if not objects:
            raise FmloadError(f"{uri}: no such object", hint=_s3_remedy(bucket, key, fixed))
        for name, etag in objects:
            folder = cache.folder() / "s3" / hashlib.sha256(f"{bucket}/{name}/{etag}".encode()).hexdigest()
            path = folder / Path(name).name
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, name, str(path))
            yield f"s3://{bucket}/{name}", path
    except (BotoCoreError, ClientError, OSError) as error:
        raise FmloadError(f"{uri}: {first_line(error).removesuffix('.')}",
                          hint="check the credentials (AWS_PROFILE), region and name") from error


def _s3_remedy(bucket: str, key: str, fixed: str) -> str:
    if not key or key.endswith("/"):
        return f"name its files, for example s3://{bucket}/{key}*.jsonl"
    return f"'aws s3 ls s3://{bucket}/{fixed}' shows what is there"


def _from_hub(address: str) -> Path:
    """The file of a data set on the Hugging Face Hub, through its client's own cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    parts = address.removeprefix("hf:").split("/", 2)
    name, _, revision = parts[1].partition("@")
    try:
        return Path(hf_hub_download(f"{parts[0]}/{name}", parts[2], repo_type="dataset", revision=revision or None))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise FmloadError(f"{address}: {first_line(error).removesuffix('.')}",
                          hint="check the name; gated data sets need HF_TOKEN; or name a file that is here") from error


def content(file: Found) -> bytes:
    """The file's bytes, unpacked. Raises FmloadError when it cannot be read, is broken, or unpacks to more than
    MAX_UNPACKED_BYTES."""
    try:
        packed = _member(file.path, file.member) if file.member else file.path.read_bytes()
        if packed[:2] != b"\x1f\x8b":
            return packed
        with gzip.open(io.BytesIO(packed)) as stream:
            return _at_most(stream, file.name)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FmloadError(f"{file.name}: cannot be unpacked: {error}",
                          hint="it is broken or cut short ('gzip -t FILE' tells): bring it here again") from error
    except OSError as error:
        raise FmloadError(f"{file.name}: {error.strerror or error}", hint="may it be read?") from error


def _at_most(stream: IO[bytes] | gzip.GzipFile, name: str) -> bytes:
    plain = stream.read(MAX_UNPACKED_BYTES + 1)
    if len(plain) > MAX_UNPACKED_BYTES:
        raise FmloadError(f"{name}: unpacks to more than {MAX_UNPACKED_BYTES / 2**30:g} GiB",
                          hint="take a part of it, unpacked")
    return plain


def _member(path: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            known = archive.namelist()
            if member not in known:
                raise FmloadError(f"{path}: no '{member}' in the archive{did_you_mean(member, known)}",
                                  hint=f"it holds {', '.join(known[:10]) or 'nothing'}")
            with archive.open(member) as stream:
                return _at_most(stream, f"{path}, {member}")
    except (zipfile.BadZipFile, RuntimeError) as error:
        raise FmloadError(f"{path}: cannot be unpacked: {error}",
                          hint="bring it here again if it is broken ('unzip -t FILE' tells), or unpack it") from error
