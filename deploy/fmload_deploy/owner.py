"""Whose a run is: the person, the AWS identity and the host that stand in the tags of everything it makes."""

from __future__ import annotations

import getpass
import os
import re
import socket
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

OWNER_TAG, HOST_TAG, CREATED_TAG, REGION_TAG = "fmload:owner", "fmload:host", "fmload:created", "fmload:region"
LEASE_TAG = "fmload-lease-until"  # seconds since 1970; instances read it, whose metadata knows no colon in some tools
UNKNOWN = ":unknown"  # the AWS identity, when AWS does not tell it
_LONGEST = 256


def owner(sts: Any) -> str:
    """`<login>:<AWS identity>` (`unknown` when AWS does not tell it), or FMLOAD_OWNER where that is set."""
    named = os.environ.get("FMLOAD_OWNER")
    if named:
        return _fit(named)
    try:
        identity = sts.get_caller_identity()["Arn"].rpartition(":")[2]
    except (ClientError, BotoCoreError):
        return _fit(login() + UNKNOWN)
    return _fit(f"{login()}:{identity}")


def host() -> str:
    """This host's name, as a tag takes it."""
    return _fit(socket.gethostname())


def login() -> str:
    """The person's name on this host."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without an entry, as in containers
        return str(os.getuid())


def _fit(text: str) -> str:
    """Only what a tag's value may hold."""
    return re.sub(r"[^\w .:/=+@-]", "_", text)[:_LONGEST]
