"""The whole product against every odd form of the emulator: one run over real sockets, each published figure beside
the server's truth."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.emulator.odd import Form
from fmload.plugins import FORMS
from tests.published_forms import TOKENS, Published, agree, measured

# Forms in which no total is told, or one that cannot be true: what is published is counted here, or the claim.
TOLD_AS = {"one-token-told": 1.0}
pytestmark = pytest.mark.alone


def endpoint(name: str, protocol: str) -> dict[str, Any]:
    keys: dict[str, Any] = {"name": f"{protocol}-{name}", "protocol": protocol, "model": "emulated",
                            "headers": {"X-Emulator-Dialect": name}}
    if protocol == "openai":
        return {**keys, "url": "/v1"}
    if protocol == "bedrock":
        return {**keys, "model": "amazon.nova-lite-v1:0", "region": "us-east-1", "emulated": "steady"}
    return {**keys, "payload_format": "openai", "endpoint_name": "emulated", "region": "us-east-1",
            "emulated": "steady"}


def forms(of: str) -> list[str]:
    return [name for name in FORMS.in_order() if FORMS.load(name).of == of]


ENDPOINTS = {"openai": forms("chat"), "sagemaker": forms("chat")[::12], "bedrock": forms("converse")}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """By endpoint, of one run for each protocol."""
    found: dict[str, Published] = {}
    for protocol, names in ENDPOINTS.items():
        found |= measured(tmp_path_factory.mktemp(protocol), [endpoint(name, protocol) for name in names])
    return found


@pytest.mark.parametrize("name", [f"{protocol}-{name}" for protocol, names in ENDPOINTS.items() for name in names])
def test_what_is_published_of_an_odd_form_is_the_truth(name: str, published: dict[str, Published]) -> None:
    form: Form = FORMS.load(name.split("-", 1)[1])
    told = TOLD_AS.get(name.split("-", 1)[1])
    agree(published[name], form, told or (TOKENS * form.choices if form.told else None))
