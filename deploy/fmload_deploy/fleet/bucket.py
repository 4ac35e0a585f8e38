"""A mailbox in an S3 bucket that is the fleet's own, and that bucket as a resource."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from fmload_deploy.account import client_for
from fmload_deploy.aws import Busy, described, explained, gone
from fmload_deploy.base import Context
from fmload_deploy.resource import Resource

_PART_BYTES = 1 << 20


class Bucket:
    """Either side's end. `client` is boto3's; its errors become FmloadError, and what is absent is None or False."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name

    def send(self, name: str, path: Path) -> None:
        doing = f"sending {name} to s3://{self.name}"
        with explained(doing):
            try:
                self.client.upload_file(str(path), self.name, name)
            except S3UploadFailedError as error:  # in the middle of the file
                raise Busy(f"{doing}: {error}") from error

    def write(self, name: str, text: str) -> None:
        with explained(f"writing {name} in s3://{self.name}"):
            self.client.put_object(Bucket=self.name, Key=name, Body=text.encode())

    def read(self, name: str) -> str | None:
        with explained(f"reading {name} of s3://{self.name}"):
            found = described(self.client.get_object, Bucket=self.name, Key=name)
            return None if found is None else str(found["Body"].read().decode())

    def fetch(self, name: str, path: Path) -> bool:
        with explained(f"fetching {name} from s3://{self.name}"):
            found = described(self.client.get_object, Bucket=self.name, Key=name)
            if found is None:
                return False
            with path.open("wb") as file:
                for part in found["Body"].iter_chunks(_PART_BYTES):
                    file.write(part)
        return True


class BucketKind:
    """The fleet's bucket: deleted with what is in it."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        with explained(f"looking for {resource}"):
            found = described(client_for(resource, context, "s3").head_bucket, Bucket=resource.name)
            return None if found is None else {}

    def delete(self, resource: Resource, context: Context) -> None:
        s3 = client_for(resource, context, "s3")
        with explained(f"deleting {resource}"):
            try:
                for page in s3.get_paginator("list_objects_v2").paginate(Bucket=resource.name):
                    for one in page.get("Contents", ()):
                        s3.delete_object(Bucket=resource.name, Key=one["Key"])
                s3.delete_bucket(Bucket=resource.name)
            except ClientError as error:
                if not gone(error):
                    raise


class Parameter:
    """A parameter of Systems Manager that holds the fleet's secrets, encrypted."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        with explained(f"looking for {resource}"):
            found = client_for(resource, context, "ssm").describe_parameters(
                ParameterFilters=[{"Key": "Name", "Values": [resource.name]}])["Parameters"]
        return {} if found else None

    def delete(self, resource: Resource, context: Context) -> None:
        with explained(f"deleting {resource}"):
            try:
                client_for(resource, context, "ssm").delete_parameter(Name=resource.name)
            except ClientError as error:
                if "ParameterNotFound" not in str(error):
                    raise
