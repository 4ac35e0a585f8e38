"""With what each request is sent: the endpoint as a component of a mix, or a tenant, has it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec, RunFile
from fmload.endpoints.building import build
from fmload.model.prompt import Prompt
from fmload.worker.senders import Senders, tenants_of

ENDPOINT = {"name": "e", "protocol": "openai", "url": "http://h:1/v1", "model": "base", "headers": {"X-T": "all"},
            "parameters": {"max_tokens": 9}, "request_id_header": None}
TENANTS = [{"name": "gold", "model": "lora", "priority": 0, "headers": {"x-t": "gold"}},
           {"name": "free", "priority": 7, "parameters": {"max_tokens": 3}}]


def senders(tenants: Any = TENANTS, mix: Any = None, named: tuple[str, ...] = ("gold", "free")) -> Senders:
    run = RunFile.model_validate({
        "name": "r", "endpoints": [ENDPOINT], "tenants": tenants,
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 20}],
        "load": {"concurrency": [2], **({"mix": mix} if mix else {})}})
    return Senders(run, named, build)


def asked(found: Senders, component: int | None, tenant: str | None) -> tuple[dict[str, str], dict[str, Any]]:
    endpoint: Any = found.of("e", component, tenant).endpoint
    request = endpoint.request(Prompt("p-1", "p", "hello"), "id", endpoint.addresses()[0])
    return request.headers, orjson.loads(request.body)


def test_each_tenant_sends_its_own_model_headers_and_priority() -> None:
    found = senders()
    headers, body = asked(found, None, "gold")
    assert (headers["x-t"], "X-T" in headers, body["model"], body["priority"]) == ("gold", False, "lora", 0)
    headers, body = asked(found, None, "free")
    assert (headers["X-T"], body["model"], body["priority"]) == ("all", "base", 7)
    headers, body = asked(found, None, None)
    assert (headers["X-T"], body["model"], "priority" in body) == ("all", "base", False)
    assert found.of("e", None, "free").output_limit == 3


def test_a_components_parameters_lie_between_the_endpoints_and_the_tenants() -> None:
    mix = [{"endpoint": "e", "prompts": "p", "tenant": "free", "parameters": {"max_tokens": 5, "top_k": 1}},
           {"endpoint": "e", "prompts": "p"}]
    found = senders(mix=mix, named=())
    assert (asked(found, 0, "free")[1]["max_tokens"], asked(found, 0, "free")[1]["top_k"]) == (3, 1)
    assert asked(found, 0, None)[1]["max_tokens"] == 5
    assert asked(found, 1, None)[1]["max_tokens"] == 9


def test_a_row_s_own_tenant_goes_before_that_of_its_component() -> None:
    found = senders(mix=[{"endpoint": "e", "prompts": "p", "tenant": "free"}])
    assert found.tenant_of(Prompt("1", "p", "x"), 0) == "free"
    assert found.tenant_of(Prompt("1", "p", "x", tenant="gold"), 0) == "gold"
    assert found.tenant_of(Prompt("1", "p", "x"), None) is None


def test_a_tenant_that_the_run_does_not_have_is_never_sent_as_another_one() -> None:
    with pytest.raises(FmloadError, match="no tenant of this run is named 'glod'; did you mean 'gold'"):
        senders().of("e", None, "glod")


def test_where_a_run_names_no_tenants_they_are_labels_alone() -> None:
    assert asked(senders(tenants=[], named=()), None, "anybody")[1]["model"] == "base"


@pytest.mark.parametrize(("source", "load", "wanted"), [
    ({"source": "synthetic", "input_tokens": 20}, {"concurrency": [2]}, {"gold"}),
    ({"source": "scenario"}, {"concurrency": [2]}, {"gold", "free"}),
    ({"source": "burstgpt", "files": ["b.csv"]}, {"trace": {}}, {"gold", "free"})])
def test_a_worker_can_send_for_every_tenant_whose_requests_it_may_be_given_later(
        source: dict[str, Any], load: dict[str, Any], wanted: set[str]) -> None:
    run = RunFile.model_validate({"name": "r", "endpoints": [ENDPOINT], "tenants": TENANTS, "load": load,
                                  "prompts": [{"name": "p", **source}]})
    mine = [Prompt("1", "p", "x", tenant="gold"), Prompt("2", "p", "x")]
    assert tenants_of(run, [mine]) == wanted


def test_a_secret_that_is_not_set_is_told_before_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOLD_KEY", raising=False)
    with pytest.raises(FmloadError, match="GOLD_KEY is not set"):
        senders(tenants=[{"name": "gold", "headers": {"X-Key": "${GOLD_KEY}"}}])


def test_the_endpoint_itself_is_not_changed() -> None:
    found = senders()
    assert [one.tenant for one in found.further()] == ["free", "gold"]
    assert set(found.plain) == {"e"}
    assert isinstance(EndpointSpec.model_validate(ENDPOINT), EndpointSpec)
