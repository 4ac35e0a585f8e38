"""What all protocols over HTTP share: keys in headers, own queries, and an endpoint that is whole."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints import building
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.openai import Completions
from fmload.model.prompt import Prompt
from tests.spoken import spoken


@pytest.mark.parametrize(("header", "sent"), [
    (None, ("Authorization", "Bearer a-key")), ("authorization", ("Authorization", "Bearer a-key")),
    ("api-key", ("api-key", "a-key"))])
def test_the_key_stands_in_the_header_that_is_asked_for(header: str | None, sent: tuple[str, str],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "a-key")
    made = spoken("openai", api_key_env="THE_KEY", **({"api_key_header": header} if header else {}))
    headers = made.request(Prompt("p", "s", text="x"), "r", made.addresses()[0]).headers
    assert sent in headers.items()
    assert len([name for name in headers if name.lower() in ("authorization", "api-key")]) == 1


def test_a_protocols_own_query_goes_behind_that_of_the_url() -> None:
    protocol = HttpProtocol(HttpOptions, Completions, lambda base, spec: f"{base}/{spec.model}:say?alt=sse")
    spec = EndpointSpec.model_validate({"name": "e", "protocol": "openai", "url": "http://h/v9?team=1", "model": "m"})
    made = protocol.from_spec(spec)
    assert made.request(Prompt("p", "s", text="x"), "r", made.addresses()[0]).target == "/v9/m:say?team=1&alt=sse"


def test_what_is_no_whole_endpoint_is_told_before_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    half = SimpleNamespace(name="e", streamed=True, addresses=list, send=None)
    table: Any = SimpleNamespace(load=lambda name: SimpleNamespace(from_spec=lambda spec: half))
    monkeypatch.setattr(building, "ENDPOINTS", table)
    spec = EndpointSpec.model_validate({"name": "e", "protocol": "openai", "url": "http://h/v1"})
    with pytest.raises(FmloadError, match="has no read, carries_token"):
        building.build(spec)
