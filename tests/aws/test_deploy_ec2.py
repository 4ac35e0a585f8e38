from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.results.folder import Results
from fmload_deploy import lease, lifecycle, sweep
from fmload_deploy.base import Context
from fmload_deploy.ec2 import access
from fmload_deploy.ec2.options import STATUS_PORT
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.owner import LEASE_TAG

if TYPE_CHECKING:
    from conftest import EmulatedAws, MakeRunFile

MakeContext = Callable[..., Context]


def endpoint(name: str = "g5", **deploy: Any) -> dict[str, Any]:
    return {"name": name, "protocol": "openai", "model": "meta-llama/Llama-3.1-8B-Instruct",
            "deploy": {"target": "ec2", "instance_type": "g5.12xlarge", "container": "vllm", "emulator": "instant",
                       **deploy}}


@pytest.fixture
def on_server(aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch) -> EmulatedAws:
    """Emulated deployments use the test's own server for the control plane, where the test can look at it."""
    from fmload_deploy.emulation import Emulation

    def serve(self: Emulation) -> tuple[Any, str]:
        return self._process("aws"), aws.url
    monkeypatch.setattr(Emulation, "_serve_aws", serve)
    return aws


def instances(aws: EmulatedAws, run_id: str) -> list[dict[str, Any]]:
    answer = aws.client("ec2").describe_instances(Filters=[{"Name": "tag:fmload:run", "Values": [run_id]}])
    return [instance for group in answer["Reservations"] for instance in group["Instances"]]


def left(aws: EmulatedAws, run_id: str) -> list[str]:
    """What still exists of a run: terminated instances stay visible for a while and do not count."""
    ended = {one["InstanceId"] for one in instances(aws, run_id) if one["State"]["Name"] == "terminated"}
    found = [arn for arn in aws.tagged(run_id) if arn.rpartition("/")[2] not in ended and ":volume/" not in arn]
    iam = aws.client("iam")
    roles = [role["RoleName"] for role in iam.list_roles(PathPrefix="/fmload/")["Roles"]]
    return found + [name for name in roles
                    if {"Key": "fmload:run", "Value": run_id} in iam.list_role_tags(RoleName=name)["Tags"]]


def test_an_instance_serves_is_leased_and_leaves_nothing(
        on_server: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(hf_token_secret="hf-token", model_copies="max", tensor_parallel=2))
    context = make_context(run_file)
    try:
        made = lifecycle.up(run_file, context).endpoints[0]
        [instance] = instances(on_server, context.run_id)
        assert made.url is not None and made.emulated == "instant"
        told = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert int(told[LEASE_TAG]) > time.time()
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert instance["ImageId"] == "ami-dca37ea5"
        assert [volume["DeviceName"] for volume in instance["BlockDeviceMappings"]] == ["/dev/sda1"]
        script = base64.b64decode(on_server.client("ec2").describe_instance_attribute(
            InstanceId=instance["InstanceId"], Attribute="userData")["UserData"]["Value"]).decode()
        assert script.count("docker run") == 3  # two copies of two GPUs, and the balancer
        [group] = on_server.client("ec2").describe_security_groups(
            Filters=[{"Name": "tag:fmload:run", "Values": [context.run_id]}])["SecurityGroups"]
        assert [(rule["FromPort"], rule["IpRanges"][0]["CidrIp"]) for rule in group["IpPermissions"]] == [
            (8000, "127.0.0.1/32"), (STATUS_PORT, "127.0.0.1/32")]
    finally:
        lifecycle.down(context)
    assert left(on_server, context.run_id) == []


def test_renewing_moves_the_end_of_an_instance(
        on_server: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint())
    context = make_context(run_file)
    try:
        lifecycle.up(run_file, context)
        lease.renew_all(context, 123_456.0)
        [instance] = instances(on_server, context.run_id)
        until = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}[LEASE_TAG]
        assert int(until) - time.time() == pytest.approx(123_456, abs=60)
    finally:
        lifecycle.down(context)


def test_several_instances_are_one_endpoint_and_emulated_ones_answer_from_one_address(
        on_server: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(instance_count=2))
    context = make_context(run_file)
    try:
        made = lifecycle.up(run_file, context).endpoints[0]
        assert made.urls is None and made.url is not None
        assert len(instances(on_server, context.run_id)) == 2
    finally:
        lifecycle.down(context)
    assert left(on_server, context.run_id) == []


@pytest.mark.parametrize(("code", "says"), [
    ("InsufficientInstanceCapacity", "another zone"), ("VcpuLimitExceeded", "counts vCPUs"),
    ("UnauthorizedOperation", "smallest policies"), ("RequestExpired", "RequestExpired")])
def test_a_refused_instance_names_the_remedy_and_leaves_nothing(
        on_server: EmulatedAws, make_run_file: MakeRunFile, tmp_path: Path, code: str, says: str) -> None:
    on_server.fail("RunInstances", code, "no", times=6 if code == "InsufficientInstanceCapacity" else 1)
    results = Results(tmp_path / "r")
    with pytest.raises(FmloadError, match=says), lifecycle.deployed(make_run_file(endpoint()), results, yes=True):
        raise AssertionError("the block must not be entered")
    assert left(on_server, Ledger.open(results.root / NAME).run_id) == []


@pytest.mark.parametrize(("deploy", "cidr"), [
    ({"address": "private"}, "10.9.8.7/32"), ({}, "54.1.2.3/32"),
    ({"address": "private", "allow": "10.0.0.0/16"}, "10.0.0.0/16")], ids=["private", "public", "allow"])
def test_the_group_opens_to_the_address_that_will_call_and_no_other(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext, deploy: dict[str, Any], cidr: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "my_private_address", lambda: "10.9.8.7")
    monkeypatch.setattr(access, "my_public_address", lambda: "54.1.2.3")
    aws.fail("RunInstances", "UnauthorizedOperation", times=20)  # the group is all that this test is about
    spec = endpoint(**deploy)
    del spec["deploy"]["emulator"]
    run_file = make_run_file(spec)
    context = make_context(run_file)
    try:
        with pytest.raises(FmloadError, match="UnauthorizedOperation"):
            lifecycle.up(run_file, context)
        groups = aws.client("ec2").describe_security_groups(
            Filters=[{"Name": "tag:fmload:run", "Values": [context.run_id]}])["SecurityGroups"]
    finally:
        aws.delete("/fmload/scenario")
        lifecycle.down(context)
    opened = {each["CidrIp"] for group in groups for rule in group["IpPermissions"] for each in rule["IpRanges"]}
    assert opened == {cidr}


def test_spot_and_capacity_blocks_are_asked_for_as_such(
        on_server: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(purchase="spot"))
    context = make_context(run_file)
    try:
        lifecycle.up(run_file, context)
        assert instances(on_server, context.run_id)[0]["InstanceLifecycle"] == "spot"
    finally:
        lifecycle.down(context)


def test_a_capacity_block_needs_its_reservation(make_run_file: MakeRunFile) -> None:
    with pytest.raises(FmloadError, match="needs capacity_reservation"):
        make_run_file(endpoint(purchase="capacity_block"))


CREATIONS = ["CreateRole", "PutRolePolicy", "CreateInstanceProfile", "AddRoleToInstanceProfile", "CreateSecurityGroup",
             "AuthorizeSecurityGroupIngress", "RunInstances"]
KILLED = """
import os, signal, sys
from pathlib import Path
from fmload_deploy import emulation, lifecycle
from fmload_deploy.aws import Aws
from fmload.config.loading import load
from fmload.results.folder import Results

class Dying(Aws):
    def client(self, *arguments):
        client = super().client(*arguments)
        client.meta.events.register(f"after-call.*.{sys.argv[3]}", lambda **_: os.kill(os.getpid(), signal.SIGKILL))
        return client

lifecycle.Aws = Dying
emulation.Emulation._serve_aws = lambda self: (self._process("aws"), sys.argv[4])
run_file = load(Path(sys.argv[1]))
lifecycle.up(run_file, lifecycle.context_for(run_file, Results(Path(sys.argv[2]))))
"""


@pytest.mark.parametrize("creation", CREATIONS)
def test_killed_right_after_a_call_both_down_and_a_second_up_work(
        on_server: EmulatedAws, tmp_path: Path, creation: str, make_run_file: MakeRunFile) -> None:
    config = tmp_path / "run.yml"
    config.write_text(yaml.safe_dump({
        "name": "killed", "region": "us-east-1", "endpoints": [endpoint(hf_token_secret="hf-token")],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": {"mean": 10}, "output_tokens": 10}],
        "load": {"concurrency": [1]}}))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(config), str(tmp_path / "r"), creation, on_server.url], timeout=120,
        check=False)
    assert killed.returncode == -9
    ledger = Ledger.open(tmp_path / "r" / NAME)
    assert left(on_server, ledger.run_id)
    if creation != "RunInstances":
        run_file = make_run_file(endpoint(hf_token_secret="hf-token"))
        lifecycle.up(run_file, lifecycle.context_for(run_file, Results(tmp_path / "r")))
        assert len(instances(on_server, ledger.run_id)) == 1
    lifecycle.down(lifecycle.context_of(ledger))
    assert left(on_server, ledger.run_id) == []
    lifecycle.down(lifecycle.context_of(ledger))


def test_a_lost_ledger_is_no_loss_tags_find_instances_groups_and_roles(
        on_server: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext, tmp_path: Path) -> None:
    run_file = make_run_file(endpoint(hf_token_secret="hf-token"))
    context = make_context(run_file)
    lifecycle.up(run_file, context)
    looking = lifecycle.context_of(Ledger(tmp_path / "none", context.run_id), "us-east-1")
    found = sweep.found(looking, context.run_id)[context.run_id].resources
    assert [one.kind for one in found] == ["iam-role", "iam-instance-profile", "ec2-security-group", "ec2-instance"]
    lifecycle.down(lifecycle.context_of(sweep.ledger_of(tmp_path / "swept", context.run_id, found), "us-east-1"))
    assert left(on_server, context.run_id) == []
    lifecycle.down(context)
