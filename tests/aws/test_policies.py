"""The policies suffice: each target in an account that allows what its policy says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fmload.base.errors import FmloadError
from fmload_deploy import lease, lifecycle, sweep
from fmload_deploy.aws import Aws
from fmload_deploy.base import Context
from fmload_deploy.check.check import checked
from fmload_deploy.emulation import Emulation
from fmload_deploy.ledger import Ledger
from fmload_deploy.permissions import document

if TYPE_CHECKING:
    from conftest import EmulatedAws, MakeRunFile

MakeContext = Callable[..., Context]
ENDPOINTS: dict[str, dict[str, Any]] = {
    "sagemaker": {"name": "e", "protocol": "sagemaker", "model": "Qwen/Qwen3-32B", "deploy": {
        "target": "sagemaker", "instance_type": "ml.g6e.12xlarge", "container": "lmi", "bucket": "allowed",
        "serving_properties": {"engine": "Python"}, "inference_component": {"accelerators": 1},
        "role": "arn:aws:iam::123456789012:role/serve"}},
    "ec2": {"name": "e", "protocol": "openai", "model": "Qwen/Qwen3-32B", "deploy": {
        "target": "ec2", "instance_type": "g6e.12xlarge", "container": "vllm", "emulator": "instant",
        "hf_token_secret": "hf-token"}},
    "bedrock": {"name": "e", "protocol": "bedrock", "model": "amazon.nova-micro-v1:0", "deploy": {
        "target": "bedrock", "provisioned": {"hourly": 21.5}}}}


@pytest.fixture
def account(aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedAws]:
    monkeypatch.setattr(Emulation, "_serve_aws", lambda self: (self._process("aws"), aws.url))
    aws.client("s3").create_bucket(Bucket="allowed")
    yield aws
    aws.delete("/fmload/scenario")  # and the policy with it


def allow(aws: EmulatedAws, target: str, without: str = "") -> None:
    policy = document([target], ["us-east-1"])
    for statement in policy["Statement"]:
        statement["Action"] = [name for name in statement["Action"] if name != without]
    aws.post("/fmload/policy", **policy)


@pytest.mark.parametrize("target", ENDPOINTS)
def test_a_target_lives_its_whole_life_with_its_policy_alone(
        account: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext, tmp_path: Path,
        target: str) -> None:
    run_file, said = make_run_file(ENDPOINTS[target]), list[str]()
    made = make_context(run_file)
    context = Context(made.ledger, made.logs, made.aws, said.append, "us-east-1")
    allow(account, target)
    rows = checked(run_file, Aws())
    assert not [row for row in rows if "not authorized" in row.detail]
    asked = "emulator" not in ENDPOINTS[target]["deploy"]
    assert [row.state for row in rows if row.what == "permissions"] == ["ok"] * asked
    lifecycle.look_before(run_file, context)
    lifecycle.up(run_file, context)
    lease.renew_all(context, lease.LEASE_S)
    looking = lifecycle.context_of(Ledger(tmp_path / "none", ""), "us-east-1", said.append)
    assert context.run_id in sweep.found(looking, None)
    lifecycle.down(context)
    account.delete("/fmload/scenario")
    of_others = [line for line in said if line.startswith("not looked at: ") and context.run_id not in line]
    assert not [line for line in said if ("not authorized" in line and line not in of_others) or "NO LEASE" in line]
    assert context.run_id not in sweep.found(looking, None)


def test_what_a_policy_does_not_let_one_see_is_said_and_stops_no_sweep(
        account: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext, tmp_path: Path) -> None:
    of_another, mine = make_run_file(ENDPOINTS["ec2"]), make_run_file(ENDPOINTS["bedrock"])
    theirs, context, said = make_context(of_another, "theirs"), make_context(mine, "mine"), list[str]()
    try:
        lifecycle.up(of_another, theirs)
        lifecycle.up(mine, context)
        allow(account, "bedrock")
        seen = sweep.found(lifecycle.context_of(Ledger(tmp_path / "none", ""), "us-east-1", said.append), None)
    finally:
        account.delete("/fmload/scenario")
        lifecycle.down(theirs)
        lifecycle.down(context)
    assert context.run_id in seen
    assert any(line.startswith("not looked at: ec2-instance of ") and theirs.run_id in line
               and "ec2:DescribeInstances" in line for line in said), said


def test_the_check_names_the_actions_that_the_policy_lacks(account: EmulatedAws, make_run_file: MakeRunFile) -> None:
    allow(account, "sagemaker", without="sagemaker:CreateEndpoint")
    [row] = [row for row in checked(make_run_file(ENDPOINTS["sagemaker"]), Aws()) if row.what == "permissions"]
    assert row.missing and "are denied: sagemaker:CreateEndpoint" in row.detail and "deploy policy" in row.remedy


def test_the_account_refuses_what_the_policy_does_not_say(
        account: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(ENDPOINTS["sagemaker"])
    context = make_context(run_file)
    allow(account, "sagemaker", without="sagemaker:CreateEndpoint")
    with pytest.raises(FmloadError, match="not authorized to perform: sagemaker:CreateEndpoint"):
        lifecycle.up(run_file, context)
    lifecycle.down(context)
