"""Copies a results folder to S3 before its host is gone: `python -m fmload_deploy.fleet.upload FOLDER s3://bucket/prefix`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fmload.base.errors import FmloadError


def upload(folder: Path, destination: str, client: Any) -> list[str]:
    """Copy every file below `folder`; returns the keys, sorted. Raises FmloadError for what is not an S3 URL."""
    bucket, prefix = split_s3_url(destination)
    keys = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        key = "/".join(filter(None, (prefix, path.relative_to(folder).as_posix())))
        client.upload_file(str(path), bucket, key)
        keys.append(key)
    return keys


def split_s3_url(url: str) -> tuple[str, str]:
    """Bucket and prefix (without slashes at its ends) of `s3://bucket/prefix`."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise FmloadError(f"'{url}' is not an S3 URL", hint="write s3://bucket/prefix")
    return parts.netloc, parts.path.strip("/")


def main(argv: list[str]) -> int:
    """The command line: folder and S3 URL."""
    if len(argv) != 2:
        print("usage: python -m fmload_deploy.fleet.upload FOLDER s3://bucket/prefix", file=sys.stderr)
        return 2
    import boto3

    keys = upload(Path(argv[0]), argv[1], boto3.client("s3"))
    print(f"{len(keys)} files copied to {argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
