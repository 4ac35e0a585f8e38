"""Endpoints for tests: of a protocol, by the keys that a run file would have."""

from __future__ import annotations

from typing import Any

from fmload.config.schema import EndpointSpec
from fmload.endpoints.http import HttpEndpoint
from fmload.plugins import ENDPOINTS


def spoken(protocol: str, url: str = "http://h:8000", **keys: Any) -> HttpEndpoint:
    """One over HTTP; `name` and `model` are given where the keys give none. Raises as `from_spec` does."""
    given = {"name": "e", "protocol": protocol, "model": "m", **keys}
    if not given.keys() & {"urls", "deploy"}:
        given["url"] = url
    made: HttpEndpoint = ENDPOINTS.load(protocol).from_spec(EndpointSpec.model_validate(given))
    return made
