from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fmload.base.errors import FmloadError
from fmload.results.folder import Results
from fmload_deploy import lifecycle, sweep
from fmload_deploy.base import Context
from fmload_deploy.bedrock.quotas import words_of
from fmload_deploy.ledger import Ledger

if TYPE_CHECKING:
    from conftest import EmulatedAws, MakeRunFile

MakeContext = Callable[..., Context]
NOVA = "amazon.nova-micro-v1:0"


def endpoint(model: str = NOVA, **deploy: Any) -> dict[str, Any]:
    return {"name": "nova", "protocol": "bedrock", "model": model, "deploy": {"target": "bedrock", **deploy}}


def test_on_demand_creates_nothing_and_shows_the_quotas(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file, said = make_run_file(endpoint("us." + NOVA)), list[str]()
    context = replace(make_context(run_file), say=said.append)
    assert lifecycle.up(run_file, context).endpoints[0].model == "us." + NOVA
    assert context.ledger.entries() == []
    assert "nova: On-demand model inference requests per minute for Amazon Nova Micro: 2000" in said
    assert not any("Lite" in line for line in said)


def test_quotas_that_may_not_be_read_do_not_stop_the_run(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    aws.fail("ListServiceQuotas", "AccessDeniedException", "not authorized")
    run_file, said = make_run_file(endpoint()), list[str]()
    lifecycle.up(run_file, replace(make_context(run_file), say=said.append))
    assert any("quotas could not be read" in line for line in said)


def test_provisioned_throughput_is_bought_used_and_released(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(provisioned={"model_units": 2, "hourly": 21.5}))
    context = make_context(run_file)
    made = lifecycle.up(run_file, context).endpoints[0]
    assert made.model is not None and ":provisioned-model/" in made.model
    assert made.price is not None and made.price.hourly == 43.0
    assert aws.tagged(context.run_id) == [made.model]
    lifecycle.down(context)
    assert aws.tagged(context.run_id) == []
    lifecycle.down(context)


def test_a_lost_ledger_is_no_loss(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext, tmp_path: Path) -> None:
    run_file = make_run_file(endpoint(provisioned={"hourly": 21.5}))
    context = make_context(run_file)
    lifecycle.up(run_file, context)
    looking = lifecycle.context_of(Ledger(tmp_path / "none", context.run_id), "us-east-1")
    found = sweep.found(looking, context.run_id)[context.run_id].resources
    lifecycle.down(lifecycle.context_of(sweep.ledger_of(tmp_path / "swept", context.run_id, found), "us-east-1"))
    assert aws.tagged(context.run_id) == []


def test_a_model_without_access_is_told_before_anything_is_bought(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint("us.anthropic.claude-haiku-4-5-20251001-v1:0", provisioned={"hourly": 1.0}))
    context = make_context(run_file)
    with pytest.raises(FmloadError, match="authorizationStatus is NOT_AUTHORIZED"):
        lifecycle.up(run_file, context)
    assert context.ledger.entries() == []


def test_an_unknown_model_is_named(aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint("amazon.nova-nano-v9:0"))
    with pytest.raises(FmloadError, match=r"Bedrock has no model 'amazon.nova-nano-v9:0' in us-east-1"):
        lifecycle.up(run_file, make_context(run_file))


def test_a_commitment_must_be_accepted_by_name(make_run_file: MakeRunFile) -> None:
    with pytest.raises(FmloadError, match="cannot be cancelled"):
        make_run_file(endpoint(provisioned={"commitment": "OneMonth", "hourly": 10.0}))


def test_the_plan_of_a_commitment_holds_all_of_it(make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(provisioned={"commitment": "OneMonth", "hourly": 10.0}, accept_commitment=True))
    [plan] = lifecycle.plans(run_file, make_context(run_file))
    assert plan.commitment_usd == 7200.0
    assert "COMMITMENT: OneMonth" in plan.notes[0]


def test_a_quota_is_an_error_with_its_remedy(
        aws: EmulatedAws, make_run_file: MakeRunFile, tmp_path: Path) -> None:
    aws.fail("POST /provisioned-model-throughput", "ServiceQuotaExceededException", "too many model units")
    with pytest.raises(FmloadError, match="Service Quotas"), lifecycle.deployed(
            make_run_file(endpoint(provisioned={"hourly": 21.5})), Results(tmp_path / "r"), yes=True):
        raise AssertionError("the block must not be entered")


@pytest.mark.parametrize(("model", "words"), [
    (NOVA, {"nova", "micro"}), ("meta.llama3-1-8b-instruct-v1:0", set()),
    ("anthropic.claude-haiku-4-5-20251001-v1:0", {"claude", "haiku"})])
def test_the_words_by_which_quotas_name_a_model(model: str, words: set[str]) -> None:
    assert words_of(model) == words
