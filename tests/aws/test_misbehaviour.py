"""The emulated AWS at its worst: each misbehaviour of a scenario, and what a run makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config.schema import RunFile
from fmload.results.folder import Results
from fmload_deploy import condition, lease, lifecycle, sweep
from fmload_deploy.base import Context
from fmload_deploy.emulation import Emulation
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.owner import LEASE_TAG

if TYPE_CHECKING:
    from conftest import EmulatedAws, MakeRunFile

MakeContext = Callable[..., Context]
ROLE = "arn:aws:iam::123456789012:role/serve"


def sagemaker(name: str = "g6e", **deploy: Any) -> dict[str, Any]:
    return {"name": name, "protocol": "sagemaker", "model": "Qwen/Qwen3-32B", "deploy": {
        "target": "sagemaker", "instance_type": "ml.g6e.12xlarge", "container": "vllm", "role": ROLE, **deploy}}


def ec2(name: str = "g6e", **deploy: Any) -> dict[str, Any]:
    return {"name": name, "protocol": "openai", "model": "Qwen/Qwen3-32B", "deploy": {
        "target": "ec2", "instance_type": "g6e.12xlarge", "container": "vllm", "emulator": "instant", **deploy}}


@pytest.fixture
def rule(aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts rules of a scenario into force; all are gone after the test."""
    monkeypatch.setattr(Emulation, "_serve_aws", lambda self: (self._process("aws"), aws.url))
    yield lambda **keys: aws.post("/fmload/scenario", **keys)
    aws.delete("/fmload/scenario")


def left(aws: EmulatedAws, run_id: str) -> list[str]:
    """What a run has left: ended instances and their volumes do not count."""
    ended = {one["InstanceId"] for one in instances(aws, run_id) if one["State"]["Name"] == "terminated"}
    return [arn for arn in aws.tagged(run_id) if arn.rpartition("/")[2] not in ended and ":volume/" not in arn]


def instances(aws: EmulatedAws, run_id: str) -> list[dict[str, Any]]:
    answer = aws.client("ec2").describe_instances(Filters=[{"Name": "tag:fmload:run", "Values": [run_id]}])
    return [instance for group in answer["Reservations"] for instance in group["Instances"]]


def up_and_down(run_file: RunFile, context: Context, aws: EmulatedAws) -> None:
    try:
        lifecycle.up(run_file, context)
    finally:
        lifecycle.down(context)
    assert left(aws, context.run_id) == []


@pytest.mark.parametrize("keys", [
    {"call": "DescribeEndpoint", "throttle": 12}, {"call": "CreateEndpoint", "throttle": 5},
    {"call": "CreateEndpoint", "lag": 4}, {"call": "CreateModel", "lag": 2}, {"call": "CreateEndpointConfig", "lag": 2},
    {"call": "DeleteEndpoint", "throttle": 5}], ids=lambda keys: f"{keys['call']}-{[*keys][1]}")
def test_throttles_and_what_is_not_known_yet_are_waited_for(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext,
        keys: dict[str, Any]) -> None:
    rule(**keys)
    run_file = make_run_file(sagemaker())
    up_and_down(run_file, make_context(run_file), aws)


def test_an_instance_that_is_not_known_yet_is_not_left_behind(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    rule(call="RunInstances", lag=6)
    run_file = make_run_file(ec2())
    context = make_context(run_file)
    context.stop.set()  # interrupted as soon as it has to wait for anything
    with pytest.raises(FmloadError):
        lifecycle.up(run_file, context)
    lifecycle.down(context)
    assert left(aws, context.run_id) == []


def test_another_zone_is_tried_when_one_has_no_room(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    rule(call="RunInstances", zone="us-east-1a", code="InsufficientInstanceCapacity")
    run_file = make_run_file(ec2())
    context = make_context(run_file)
    try:
        lifecycle.up(run_file, context)
        [instance] = instances(aws, context.run_id)
        assert instance["Placement"]["AvailabilityZone"] != "us-east-1a"
    finally:
        lifecycle.down(context)
    assert left(aws, context.run_id) == []


def test_no_room_anywhere_names_the_remedy_after_every_zone(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    rule(call="RunInstances", code="InsufficientInstanceCapacity", times=1000)
    run_file, said = make_run_file(ec2()), list[str]()
    context = make_context(run_file)
    with pytest.raises(FmloadError, match="another zone"):
        lifecycle.up(run_file, Context(context.ledger, context.logs, context.aws, said.append, "us-east-1"))
    assert sum("has no room" in line for line in said) > 1
    lifecycle.down(context)
    assert left(aws, context.run_id) == []


def test_up_again_after_an_instance_ended_itself_asks_with_another_token(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(ec2())
    context = make_context(run_file)
    lifecycle.up(run_file, context)
    [first] = instances(aws, context.run_id)
    aws.client("ec2").terminate_instances(InstanceIds=[first["InstanceId"]])
    try:
        lifecycle.up(run_file, make_context(run_file))
        assert sorted(one["State"]["Name"] for one in instances(aws, context.run_id)) == ["running", "terminated"]
    finally:
        lifecycle.down(context)
    assert left(aws, context.run_id) == []


def test_a_container_that_fails_is_seen_with_its_cause_and_its_log_is_kept_before_the_teardown(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, tmp_path: Path) -> None:
    aws.slow(10)
    rule(call="CreateEndpoint", fails="did not pass the ping health check",
         log=["loading weights", "huggingface_hub.errors.GatedRepoError: 401"])
    results = Results(tmp_path / "r")
    with pytest.raises(FmloadError, match=r"(?s)fails while it starts.*the model is gated.*GatedRepoError") as raised, \
            lifecycle.deployed(make_run_file(sagemaker(start_timeout="1h")), results, yes=True):
        raise AssertionError("the block must not be entered")
    assert "accept the model's licence" in str(raised.value)
    [log] = results.logs.glob("*-container.log")
    assert "loading weights" in log.read_text()


def test_an_instance_that_says_why_on_its_console_is_not_waited_for(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, tmp_path: Path) -> None:
    rule(call="RunInstances", console=["fmload: FAILED line 60 of the start script, exit status 1: docker pull x",
                                       "manifest unknown"])
    results = Results(tmp_path / "r")
    with pytest.raises(FmloadError, match=r"(?s)docker pull x.*the image cannot be pulled"), \
            lifecycle.deployed(make_run_file(ec2(start_timeout="1h")), results, yes=True):
        raise AssertionError("the block must not be entered")
    [log] = results.logs.glob("*-console.log")
    assert "manifest unknown" in log.read_text()
    assert left(aws, Ledger.open(results.root / NAME).run_id) == []


def test_a_denied_delete_ends_with_what_is_left_its_price_and_the_command(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(sagemaker())
    context = make_context(run_file)
    lifecycle.up(run_file, context)
    rule(call="DeleteEndpoint", deny=True)
    with pytest.raises(FmloadError) as raised:
        lifecycle.down(context)
    told = str(raised.value)
    assert "still there, together 13.12 USD/h" in told and "13.12 USD/h  sagemaker-endpoint" in told
    assert f"fmload deploy down {context.ledger.path}" in told
    aws.delete("/fmload/scenario")
    lifecycle.down(context)
    assert left(aws, context.run_id) == []


def test_a_quota_or_an_offering_that_lacks_is_told_before_anything_is_created(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, tmp_path: Path) -> None:
    rule(quota="ml.g6e.12xlarge for endpoint usage", value=0)
    results = Results(tmp_path / "r")
    with pytest.raises(FmloadError, match=r"0 instances, 1 wanted") as raised, \
            lifecycle.deployed(make_run_file(sagemaker()), results, yes=True):
        raise AssertionError("the block must not be entered")
    assert "request-service-quota-increase" in str(raised.value)
    assert Ledger.open(results.root / NAME).entries() == []


@pytest.mark.parametrize("target", [sagemaker, ec2], ids=["sagemaker", "ec2"])
def test_with_the_owner_killed_for_good_the_lease_ends_everything_that_bills(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext,
        target: Callable[..., dict[str, Any]]) -> None:
    run_file = make_run_file(target())
    context = make_context(run_file)
    lifecycle.up(run_file, context)
    lease.renew_all(context, lease.LEASE_S)  # the last thing that its owner did
    aws.post("/fmload/clock", advance_s=lease.LEASE_S - 120)
    assert len(left(aws, context.run_id)) > 1  # a live run is left alone
    for _ in range(4):  # what is being deleted is looked at until it is gone
        aws.post("/fmload/clock", advance_s=180)
        for entry in context.ledger.entries():
            lifecycle.exists(entry, context)
    kinds = {arn.split(":")[2] for arn in left(aws, context.run_id)}
    assert kinds <= {"ec2"} if target is ec2 else kinds == set(), left(aws, context.run_id)
    assert all(one["State"]["Name"] == "terminated" for one in instances(aws, context.run_id))
    lifecycle.down(context)
    assert left(aws, context.run_id) == []


def test_without_permission_for_a_lease_the_limit_is_said_before_creation_or_nothing_is_created(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    rule(call="POST /schedule-groups/*", deny=True)
    rule(call="CreateRole", deny=True)
    run_file, said = make_run_file(sagemaker()), list[str]()
    made = make_context(run_file)
    context = Context(made.ledger, made.logs, made.aws, said.append, "us-east-1")
    try:
        lifecycle.up(run_file, context)
    finally:
        lifecycle.down(context)
    [told] = [line for line in said if "NO LEASE" in line]
    assert "13.12 USD/h until" in told
    assert said.index(told) < next(at for at, line in enumerate(said) if "creating sagemaker-endpoint " in line)
    required = make_run_file(sagemaker(lease="required"))
    with pytest.raises(FmloadError, match="not authorized"):
        lifecycle.up(required, make_context(required, "required"))


def test_two_users_two_regions_one_sweep(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext,
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = {}
    for owner, region in (("alice", "us-east-1"), ("bob", "us-east-1"), ("alice", "us-west-2")):
        monkeypatch.setenv("FMLOAD_OWNER", owner)
        run_file = make_run_file(ec2(hf_token_secret="hf-token"), region=region)
        contexts[owner, region] = make_context(run_file, f"{owner}-{region}")
        lifecycle.up(run_file, contexts[owner, region])
    monkeypatch.setenv("FMLOAD_OWNER", "alice")
    looking = lifecycle.context_of(Ledger(tmp_path / "none", ""), "us-east-1")
    runs = sweep.found(looking, None)
    mine, bobs, far = (contexts[key].run_id for key in contexts)
    assert far not in runs  # another region's instance, group and role are left alone
    assert {run.owner for run_id, run in runs.items() if run_id in (mine, bobs)} == {"alice", "bob"}
    assert not {mine, bobs} & sweep.removable(runs, "alice", [], []).keys()  # both are live
    assert set(sweep.removable(runs, "alice", [bobs], [])) == {bobs}  # unless named
    for context in contexts.values():
        lease.renew_all(context, -60.0)  # nobody renews any more
    runs = sweep.found(looking, None)
    assert mine in sweep.removable(runs, "alice", [], []) and bobs not in sweep.removable(runs, "alice", [], [])
    assert {mine, bobs} <= sweep.removable(runs, "alice", [], ["bob"]).keys()
    assert "of alice on" in runs[mine].line() and "its lease ended" in runs[mine].line()
    for context in contexts.values():
        lifecycle.down(context)
        assert left(aws, context.run_id) == []


def test_a_file_in_a_bucket_is_tagged_and_swept(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext,
        tmp_path: Path) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="weights-swept")
    run_file = make_run_file(sagemaker(container="lmi", bucket="weights-swept",
                                       serving_properties={"engine": "Python"}))
    context = make_context(run_file)
    lifecycle.up(run_file, context)
    looking = lifecycle.context_of(Ledger(tmp_path / "none", ""), "us-east-1")
    found = sweep.found(looking, context.run_id)[context.run_id].resources
    assert "s3-object" in [one.kind for one in found]
    lifecycle.down(lifecycle.context_of(sweep.ledger_of(tmp_path / "swept", context.run_id, found), "us-east-1"))
    assert s3.list_objects_v2(Bucket="weights-swept")["KeyCount"] == 0


def test_what_dies_while_the_run_lives_is_said_once_and_stands_in_its_events(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file, said = make_run_file(ec2()), list[str]()
    made = make_context(run_file)
    context = Context(made.ledger, made.logs, made.aws, said.append, "us-east-1")
    lifecycle.up(run_file, context)
    known = condition.Troubles()
    condition.look(context, known)
    [instance] = instances(aws, context.run_id)
    aws.client("ec2").terminate_instances(InstanceIds=[instance["InstanceId"]])
    condition.look(context, known)
    condition.look(context, known)
    assert sum("the instance: has ended" in line for line in said) == 1
    events = (context.ledger.path.parent / "events.jsonl").read_text()
    assert '"endpoint_degraded"' in events
    lifecycle.down(context)


def test_the_endpoints_own_region_is_where_it_is_made(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file({**sagemaker(), "region": "eu-west-1"})
    [plan] = lifecycle.plans(run_file, make_context(run_file))
    assert {resource.region for resource in plan.resources} == {"eu-west-1"}


def test_every_resource_says_whose_it_is_and_until_when(
        aws: EmulatedAws, rule: Callable[..., None], make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(sagemaker())
    context = make_context(run_file)
    try:
        lifecycle.up(run_file, context)
        pages = aws.client("resourcegroupstaggingapi").get_resources(
            TagFilters=[{"Key": "fmload:run", "Values": [context.run_id]}])["ResourceTagMappingList"]
        for found in pages:
            names = {tag["Key"] for tag in found["Tags"]}
            assert {"fmload:owner", "fmload:host", "fmload:created", "fmload:region", LEASE_TAG} <= names
    finally:
        lifecycle.down(context)


def test_a_scenario_file_goes_with_an_emulated_run_and_a_wrong_rule_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(yaml.safe_dump([{"call": "CreateEndpoint", "explode": True}]))
    done = subprocess.run([sys.executable, "-m", "fmload_deploy.emulated_aws", "--ready-file", str(tmp_path / "ready"),
                           "--scenario", str(tmp_path / "bad.yml")], capture_output=True, text=True, timeout=120,
                          check=False, env=os.environ)
    assert done.returncode != 0 and "rule 1" in done.stderr
