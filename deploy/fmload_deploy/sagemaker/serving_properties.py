"""DJL's serving.properties: a file in a tar in a bucket, the way LMI containers take it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from fmload_deploy.account import client_for
from fmload_deploy.aws import described, explained, gone
from fmload_deploy.base import Context
from fmload_deploy.resource import Resource


class PropertiesFile:
    """The file and where it goes; false when there are no properties. `name` is `bucket/key`."""

    def __init__(self, bucket: str | None, name: str, properties: Mapping[str, Any]) -> None:
        self.properties = properties
        self.name = f"{bucket}/fmload/{name}/serving.tar.gz"
        self.url = f"s3://{self.name}"

    def __bool__(self) -> bool:
        return bool(self.properties)

    def upload(self, client: Any, resource: Resource, tags: Mapping[str, str]) -> None:
        """Put the tar into the bucket."""
        bucket, _, key = resource.name.partition("/")
        client.put_object(Bucket=bucket, Key=key, Body=archive(self.properties), Tagging=urlencode(tags))


class S3Object:
    """An object that a run put into a bucket of the user's; the bucket itself is never touched."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        bucket, _, key = resource.name.partition("/")
        with explained(f"looking for {resource}"):
            answer = described(client_for(resource, context, "s3").head_object, Bucket=bucket, Key=key)
            return None if answer is None else {}

    def delete(self, resource: Resource, context: Context) -> None:
        bucket, _, key = resource.name.partition("/")
        with explained(f"deleting {resource}"):
            try:
                client_for(resource, context, "s3").delete_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if not gone(error):
                    raise


def archive(properties: Mapping[str, Any]) -> bytes:
    """A .tar.gz with serving.properties in it."""
    text = "".join(f"{key}={_written(value)}\n" for key, value in properties.items()).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("serving.properties")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
