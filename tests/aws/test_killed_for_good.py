"""A run that is killed: after each of its create calls `down` and `sweep` leave nothing, and with nobody to call them
the leases end what bills. Node groups and throughput; SageMaker and EC2 have tests of their own.

The lease's role and schedules outlive the resources, cost nothing, and go with `down` or `sweep`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload_deploy import lease, lifecycle, sweep
from fmload_deploy.base import Context
from fmload_deploy.ledger import NAME, Ledger

if TYPE_CHECKING:
    from conftest import EmulatedAws, MakeRunFile

MakeContext = Callable[..., Context]
NODES = "arn:aws:iam::123456789012:role/nodes"
ENDPOINTS: Mapping[str, dict[str, Any]] = {
    "eks": {"name": "pods", "protocol": "openai", "model": "Qwen/Qwen3-32B", "deploy": {
        "target": "eks", "cluster": "killed", "container": "vllm", "start_timeout": "5s",
        "node_group": {"instance_type": "g6e.12xlarge", "count": 2, "role": NODES, "subnets": ["subnet-1"]}}},
    "bedrock": {"name": "nova", "protocol": "bedrock", "model": "amazon.nova-micro-v1:0", "deploy": {
        "target": "bedrock", "provisioned": {"hourly": 21.5}}}}
CREATIONS = [("eks", "CreateRole"), ("eks", "PutRolePolicy"), ("eks", "CreateScheduleGroup"), ("eks", "CreateSchedule"),
             ("eks", "CreateNodegroup"), ("bedrock", "CreateRole"), ("bedrock", "CreateScheduleGroup"),
             ("bedrock", "CreateSchedule"), ("bedrock", "CreateProvisionedModelThroughput")]
KILLED = """
import os, signal, sys
from pathlib import Path
from fmload_deploy import lifecycle
from fmload_deploy.aws import Aws
from fmload.config.loading import load
from fmload.results.folder import Results

class Dying(Aws):  # dies as soon as AWS has answered the call, before anything can be written down
    def client(self, *arguments):
        client = super().client(*arguments)
        client.meta.events.register(f"after-call.*.{sys.argv[3]}", lambda **_: os.kill(os.getpid(), signal.SIGKILL))
        return client

lifecycle.Aws = Dying
run_file = load(Path(sys.argv[1]))
lifecycle.up(run_file, lifecycle.context_for(run_file, Results(Path(sys.argv[2]))))
"""


@pytest.fixture
def account(aws: EmulatedAws) -> EmulatedAws:
    """With a cluster."""
    eks = aws.client("eks")
    if "killed" not in eks.list_clusters()["clusters"]:
        eks.create_cluster(name="killed", roleArn=NODES, resourcesVpcConfig={"subnetIds": ["subnet-1"]})
    return aws


def left(aws: EmulatedAws, run_id: str) -> list[str]:
    """What exists of a run, by every service's own word."""
    eks, iam, scheduler = aws.client("eks"), aws.client("iam"), aws.client("scheduler")
    groups = [eks.describe_nodegroup(clusterName="killed", nodegroupName=name)["nodegroup"]
              for name in eks.list_nodegroups(clusterName="killed")["nodegroups"]]
    found = [f"node group {group['nodegroupName']}" for group in groups if group["tags"].get("fmload:run") == run_id]
    found += [f"throughput {arn}" for arn in aws.tagged(run_id) if ":provisioned-model/" in arn]
    wanted = {"Key": "fmload:run", "Value": run_id}
    found += [f"role {role['RoleName']}" for role in iam.list_roles(PathPrefix="/fmload/")["Roles"]
              if wanted in iam.list_role_tags(RoleName=role["RoleName"])["Tags"]]
    return found + [f"schedules {group['Name']}" for group in scheduler.list_schedule_groups()["ScheduleGroups"]
                    if group["State"] != "DELETING"
                    and wanted in scheduler.list_tags_for_resource(ResourceArn=group["Arn"])["Tags"]]


def killed_after(creation: str, folder: Path, run_file: Mapping[str, Any]) -> str:
    """The id of a run that was killed right after a call had been answered."""
    (folder / "run.yml").write_text(yaml.safe_dump(dict(run_file)))
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder / "run.yml"), str(folder / "r"), creation],
                          timeout=120, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return Ledger.open(folder / "r" / NAME).run_id


def described(target: str) -> dict[str, Any]:
    return {"name": "killed", "region": "us-east-1", "endpoints": [ENDPOINTS[target]], "load": {"concurrency": [1]},
            "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10, "output_tokens": 10}]}


@pytest.mark.parametrize(("target", "creation"), CREATIONS)
def test_killed_right_after_a_create_call_down_leaves_no_node_group_throughput_schedule_or_role(
        account: EmulatedAws, tmp_path: Path, target: str, creation: str) -> None:
    run_id = killed_after(creation, tmp_path, described(target))
    assert left(account, run_id)
    ledger = Ledger.open(tmp_path / "r" / NAME)
    lifecycle.down(lifecycle.context_of(ledger))
    assert left(account, run_id) == []
    lifecycle.down(lifecycle.context_of(ledger))


@pytest.mark.parametrize(("target", "creation"), [("eks", "CreateNodegroup"),
                                                  ("bedrock", "CreateProvisionedModelThroughput")])
def test_killed_and_the_ledger_lost_sweep_finds_roles_and_schedules_too(
        account: EmulatedAws, tmp_path: Path, target: str, creation: str) -> None:
    run_id = killed_after(creation, tmp_path, described(target))
    looking = lifecycle.context_of(Ledger(tmp_path / "none", run_id), "us-east-1")
    found = sweep.found(looking, run_id)[run_id].resources
    bills = {"eks": "eks-nodegroup", "bedrock": "bedrock-provisioned-throughput"}[target]
    assert [one.kind for one in found] == ["iam-role", "schedule-group", bills]
    lifecycle.down(lifecycle.context_of(sweep.ledger_of(tmp_path / "swept", run_id, found), "us-east-1"))
    assert left(account, run_id) == []


@pytest.mark.parametrize("target", ENDPOINTS)
def test_with_the_owner_killed_for_good_the_lease_ends_node_groups_and_throughput(
        account: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext, target: str) -> None:
    run_file = make_run_file(ENDPOINTS[target])
    context = make_context(run_file)
    try:
        lifecycle.up(run_file, context)
    except FmloadError as error:
        assert target == "eks" and "certificate" in error.message  # no Kubernetes is behind the emulated EKS
    lease.renew_all(context, lease.LEASE_S)  # the last thing that its owner did
    bills = ("node group", "throughput")
    try:
        account.post("/fmload/clock", advance_s=lease.LEASE_S - 120)
        assert any(one.startswith(bills) for one in left(account, context.run_id))  # a live run is left alone
        account.post("/fmload/clock", advance_s=240)
        assert not any(one.startswith(bills) for one in left(account, context.run_id))
    finally:
        account.delete("/fmload/scenario")
        lifecycle.down(context)
    assert left(account, context.run_id) == []
