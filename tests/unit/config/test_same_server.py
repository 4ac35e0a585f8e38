"""Which endpoints share a prefix cache."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.config.server_identity import server_of

URL = {"protocol": "openai", "url": "http://h/v1", "model": "m"}
SAGEMAKER = {"protocol": "sagemaker", "region": "us-east-1"}


@pytest.mark.parametrize(("one", "other", "same"), [
    (URL, {**URL, "parameters": {"temperature": 1}, "stream": False}, True),
    (URL, {**URL, "model": "n"}, False),
    (URL, {**URL, "url": "http://i/v1"}, False),
    ({"protocol": "openai", "urls": ["http://h", "http://i"]}, {"protocol": "openai", "urls": ["http://i", "http://h"]},
     True),
    ({"protocol": "openai", "deploy": {"target": "local"}}, {"protocol": "openai", "deploy": {"target": "local"}},
     False),
    ({**SAGEMAKER, "endpoint_name": "e"}, {**SAGEMAKER, "endpoint_name": "e"}, True),
    ({**SAGEMAKER, "endpoint_name": "e"}, {**SAGEMAKER, "endpoint_name": "e", "inference_component": "i"}, False),
    ({**SAGEMAKER, "url": "http://h"}, {**SAGEMAKER, "url": "http://h"}, False),  # each is asked for by its own name
])
def test_endpoints_are_one_server_by_address_and_what_is_asked_for(one: dict[str, Any], other: dict[str, Any],
                                                                   same: bool) -> None:
    assert (server_of({"name": "a", **one}) == server_of({"name": "b", **other})) is same
