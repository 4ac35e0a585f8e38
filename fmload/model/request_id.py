"""Ids of requests: UUIDs of version 4, since some servers take no other. Those of trials begin with eight zeros."""

from __future__ import annotations

from uuid import uuid4

_TRIAL = "00000000-"


def new_id() -> str:
    """The id of one request of the load."""
    return str(uuid4())


def new_trial_id() -> str:
    """The id of one request before the load, which is no record."""
    return _TRIAL + str(uuid4()).partition("-")[2]


def is_trial(request_id: str) -> bool:
    """Whether a request of this id was one before the load."""
    return request_id.startswith(_TRIAL)
