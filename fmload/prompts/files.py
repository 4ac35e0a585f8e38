"""Files that prompts come from: here, in S3 or on the Hugging Face Hub, brought here and read row by row."""

from __future__ import annotations

import csv
import fnmatch
import gzip
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from fmload.errors import FmloadError
from fmload.prompts import cache


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its columns, and where it stood (`file` as the run file names it, `number` from 1)."""

    values: dict[str, Any]
    file: str
    number: int
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

    Raises FmloadError when a name finds nothing.
    """
    return [file for name in names for file in _find(name)]


def is_elsewhere(name: str) -> bool:
    """Whether a name means a file in S3 or on the Hugging Face Hub."""
    return name.startswith(("s3://", "hf:"))


def fingerprint(found: Sequence[Found]) -> str:
    """Changes when the content of any of the files changes."""
    return "\n".join(f"{file.name} {cache.file_hash(file.path)}" for file in found)


def rows(found: Sequence[Found]) -> list[Row]:
    """All rows of all files, in order. Raises FmloadError naming file and line for what cannot be read."""
    return list(each(found))


def each(found: Sequence[Found]) -> Iterator[Row]:
    """As `rows`, one after the other, for files of which not every row is kept."""
    return (Row(_sendable(values, f"{file.name}:{number}"), file.name, number, str(file.path.parent))
            for file in found for number, values in enumerate(_read(file), start=1))


def _sendable(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The values, whose texts can be sent. JSON's escapes can spell half a character, which no request can hold."""
    try:
        for value in values.values():
            if isinstance(value, str):
                value.encode()
    except UnicodeEncodeError as error:
        raise FmloadError(f"{where}: half of a surrogate pair (\\u{ord(error.object[error.start]):04x})",
                          hint="repair the text, or leave the row out") from error
    return values


def _find(name: str) -> list[Found]:
    outer, _, member = name.partition("!")
    if outer.startswith("s3://"):
        return [Found(uri, path, member or None) for uri, path in _from_s3(outer)]
    if outer.startswith("hf:"):
        return [Found(name, _from_hub(outer), member or None)]
    paths = sorted(path for path in glob(outer, recursive=True) if Path(path).is_file())  # noqa: PTH207  (may be absolute)
    if not paths:
        raise FmloadError(f"{outer}: no such file", hint="relative paths start from the run file's folder")
    return [Found(path, Path(path), member or None) for path in paths]


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
                         if one["Key"] == key or fnmatch.fnmatchcase(one["Key"], key))
        if not objects:
            raise FmloadError(f"{uri}: no such object")
        for name, etag in objects:
            folder = cache.folder() / "s3" / hashlib.sha256(f"{bucket}/{name}/{etag}".encode()).hexdigest()
            path = folder / Path(name).name
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, name, str(path))
            yield f"s3://{bucket}/{name}", path
    except (BotoCoreError, ClientError) as error:
        raise FmloadError(f"{uri}: {error}", hint="check the credentials (AWS_PROFILE), region and name") from error


def _from_hub(address: str) -> Path:
    """The file of a data set on the Hugging Face Hub, through its client's own cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    parts = address.removeprefix("hf:").split("/", 2)
    if len(parts) < 3:
        raise FmloadError(f"{address}: not of the form hf:organisation/name/path/of/file",
                          hint="for example hf:THUDM/LongBench/data.zip!data/hotpotqa.jsonl")
    name, _, revision = parts[1].partition("@")
    try:
        return Path(hf_hub_download(f"{parts[0]}/{name}", parts[2], repo_type="dataset", revision=revision or None))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise FmloadError(f"{address}: {str(error).strip().splitlines()[0]}",
                          hint="check the name; gated data sets need HF_TOKEN; or name a file that is here") from error


def _read(file: Found) -> Iterator[dict[str, Any]]:
    reader = _READERS.get(file.suffix)
    if reader is None:
        raise FmloadError(f"{file.name}: '{file.suffix}' files cannot be read",
                          hint=f"known: {', '.join(sorted(_READERS))}")
    try:
        yield from reader(_content(file), file.name)
    except (OSError, EOFError, KeyError, ValueError, csv.Error, zipfile.BadZipFile, zlib.error) as error:
        raise FmloadError(f"{file.name}: cannot be read: {error}", hint="is the file whole, and UTF-8?") from error


def _content(file: Found) -> bytes:
    if file.member:
        with zipfile.ZipFile(file.path) as archive:
            content = archive.read(file.member)
    else:
        content = file.path.read_bytes()
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def _jsonl(content: bytes, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), start=1):  # a text may hold U+2028
        if line.strip():
            yield _mapping(line, f"{name}:{number}")


def _mapping(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise FmloadError(f"{where}: not JSON: {error}", hint="one JSON object a line") from error
    if not isinstance(value, dict):
        raise FmloadError(f"{where}: not a JSON object", hint='for example {"prompt": "…"}')
    return value


def _json(content: bytes, name: str) -> Iterator[dict[str, Any]]:
    value = json.loads(content)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise FmloadError(f"{name}: not a list of JSON objects")
    yield from value


def _csv(content: bytes, name: str) -> Iterator[dict[str, Any]]:
    # The module's own limit of 131,072 characters is below a long context; it holds for the whole process.
    csv.field_size_limit(max(csv.field_size_limit(), len(content) + 1))
    for number, row in enumerate(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")), start=2):
        if None in row or None in row.values():
            raise FmloadError(f"{name}:{number}: the row has not as many columns as the first line")
        yield row


def _parquet(content: bytes, name: str) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        yield from parquet.read_table(pa.BufferReader(content)).to_pylist()
    except pa.ArrowException as error:
        raise FmloadError(f"{name}: not a Parquet file: {error}") from error


_READERS: dict[str, Callable[[bytes, str], Iterator[dict[str, Any]]]] = {
    ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet,
}
