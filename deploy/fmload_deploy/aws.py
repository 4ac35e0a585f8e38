"""boto3 clients, and AWS's errors put into words. Nothing here knows what is deployed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, NoRegionError
from botocore.parsers import ResponseParserError

from fmload.base.errors import FmloadError
from fmload_deploy.owner import owner
from fmload_deploy.resource import Resource

_CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3})
_POLL_AWS_S, _POLL_HERE_S = 10.0, 0.05
_LAG_AWS_S, _LAG_HERE_S = 60.0, 2.0
_BUSY = ("Throttling", "RequestLimitExceeded", "TooManyRequests", "ServiceUnavailable", "Unavailable",
         "InternalFailure", "InternalError", "InternalServer", "InternalServiceError", "RequestTimeout",
         "ServerException", "SlowDown")
_SERVER_ERROR = 500
_QUOTED = 200  # characters of an answer that is none

_HINTS = {
    "ExpiredToken": "the credentials have expired: renew them (aws sso login) and repeat the command; it continues",
    "UnrecognizedClient": "AWS does not know these credentials: check AWS_PROFILE, AWS_ACCESS_KEY_ID and the region",
    "InvalidClientTokenId": "AWS does not know these credentials: check AWS_PROFILE and AWS_ACCESS_KEY_ID",
    "AccessDenied": "the credentials lack this permission; docs/deploy.md has the smallest policies",
    "UnauthorizedOperation": "the credentials lack this permission; docs/deploy.md has the smallest policies",
    "InsufficientInstanceCapacity": "AWS has none to give here and now: try another zone, region or instance type, "
                                    "or reserve capacity",
    "InsufficientCapacity": "AWS has none to give here and now: try another zone, region or instance type",
    "ResourceLimitExceeded": "ask for a higher quota in Service Quotas (for SageMaker: '<type> for endpoint usage')",
    "VcpuLimitExceeded": "ask for a higher EC2 quota in Service Quotas (it counts vCPUs of the instance family)",
    "MaxSpotInstanceCountExceeded": "ask for a higher EC2 spot quota in Service Quotas",
    "SpotMaxPriceTooLow": "the spot price is above the limit: raise it, or use purchase: on_demand",
    "ServiceQuotaExceeded": "ask for a higher quota in Service Quotas",
    "LimitExceeded": "ask for a higher quota in Service Quotas",
    "OptInRequired": "subscribe to the image or service in this account first",
    "Throttling": "AWS is throttling this account's control plane; wait and run the same command again; it continues",
}


class Aws:
    """Clients by service and region, made once. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str | None, str | None], Any] = {}
        self._owners: dict[tuple[str | None, str | None], str] = {}

    def client(self, service: str, region: str | None, endpoint_url: str | None = None) -> Any:
        """A boto3 client. With `endpoint_url` (an emulated AWS) the account's own credentials are never used."""
        key = (service, region, endpoint_url)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = _make_client(service, region, endpoint_url)
            return self._clients[key]

    def owner(self, region: str | None, endpoint_url: str | None = None) -> str:
        """Whose the account's things are that this process makes; asked for once."""
        key = (region, endpoint_url)
        if key not in self._owners:
            self._owners[key] = owner(self.client("sts", region, endpoint_url))
        return self._owners[key]


def _make_client(service: str, region: str | None, endpoint_url: str | None) -> Any:
    key = "emulated" if endpoint_url else None
    session: Any = boto3.Session(region_name=region, aws_access_key_id=key, aws_secret_access_key=key)
    try:
        return session.client(service, endpoint_url=endpoint_url, config=_CONFIG)
    except NoRegionError as error:
        raise FmloadError("no AWS region is set",
                          hint="write region: us-east-1 in the run file, or set AWS_REGION") from error


def poll_s(client: Any) -> float:
    """Seconds between two looks: AWS throttles the impatient, an emulation on this host does not."""
    return _POLL_HERE_S if _on_this_host(client.meta.endpoint_url) else _POLL_AWS_S


def pause_s(endpoint_url: str | None) -> float:
    """`poll_s` for clients with this `endpoint_url` (or the environment's)."""
    return _POLL_HERE_S if _on_this_host(endpoint_url or os.environ.get("AWS_ENDPOINT_URL")) else _POLL_AWS_S


def lag_s(endpoint_url: str | None) -> float:
    """How long what AWS has accepted may yet be unknown to other calls, at most."""
    return _LAG_HERE_S if _on_this_host(endpoint_url or os.environ.get("AWS_ENDPOINT_URL")) else _LAG_AWS_S


def _on_this_host(url: str | None) -> bool:
    return url is not None and urlsplit(url).hostname in ("127.0.0.1", "localhost")


class Busy(FmloadError):
    """AWS throttles, or is in trouble for the moment: the same call may do later what it does not do now."""


class Denied(FmloadError):
    """The credentials lack the permission."""


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns AWS's errors inside into FmloadError: what was being done, AWS's own words, and the remedy.

    Throttles, failures of AWS's own and of the network become Busy, a missing permission Denied.
    """
    try:
        yield
    except ClientError as error:
        kind = Busy if busy(error) else Denied if denied(error) else FmloadError
        raise kind(f"{doing}: {message(error)}", hint=hint(code(error))) from error
    except NoCredentialsError as error:
        raise FmloadError(f"{doing}: no AWS credentials", hint="set AWS_PROFILE, or run 'aws configure'") from error
    except HTTPClientError as error:
        raise Busy(f"{doing}: {error}", hint="is the network up, and the region right?") from error
    except ResponseParserError as error:
        raise Busy(f"{doing}: what answers does not speak as AWS does: {str(error)[:_QUOTED]}",
                   hint="is a proxy between, or AWS_ENDPOINT_URL set?") from error
    except BotoCoreError as error:
        raise FmloadError(f"{doing}: {error}") from error


def busy(error: ClientError) -> bool:
    """Whether the error is one of the moment: a throttle, or AWS's own trouble."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code(error).startswith(_BUSY) or status >= _SERVER_ERROR


def denied(error: ClientError) -> bool:
    """Whether the credentials lack the permission."""
    return code(error).startswith(("AccessDenied", "UnauthorizedOperation", "NotAuthorized"))


def code(error: ClientError) -> str:
    """The error's code, without the suffix that some services add."""
    return str(error.response.get("Error", {}).get("Code", "")).removesuffix("Exception")


def message(error: ClientError) -> str:
    """The code and AWS's own words."""
    return f"{code(error)}: {error.response.get('Error', {}).get('Message', '')}".rstrip(": ")


def hint(error_code: str) -> str | None:
    """The remedy for an error code; None when there is none to give."""
    return next((text for start, text in _HINTS.items() if error_code.startswith(start)), None)


def gone(error: ClientError) -> bool:
    """Whether the error says that the thing does not exist."""
    name, words = code(error), error.response.get("Error", {}).get("Message", "")
    return (name in ("ResourceNotFound", "NotFound", "NoSuchEntity", "NoSuchBucket", "NoSuchKey", "404")
            or name.endswith(".NotFound") or (name == "Validation" and words.startswith("Could not find")))


def described(call: Callable[..., Any], **arguments: Any) -> Mapping[str, Any] | None:
    """The answer of a describe call; None when the thing does not exist. Other errors pass."""
    try:
        answer: Mapping[str, Any] = call(**arguments)
    except ClientError as error:
        if gone(error):
            return None
        raise
    return answer


def vanished(resource: Resource) -> bool:
    """Whether the emulated AWS that held the resource is gone, and the resource with it; False for AWS itself."""
    url = resource.detail.get("endpoint_url")
    if url is None:
        return False
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1.0).close()
    except OSError:
        return True
    return False
