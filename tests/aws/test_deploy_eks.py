from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.plugins import KINDS
from fmload.results.folder import Results
from fmload_deploy import images, lifecycle
from fmload_deploy.base import Context
from fmload_deploy.eks.client import eks_token
from fmload_deploy.eks.manifests import manifests
from fmload_deploy.eks.target import EKS
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.resource import sum_or_none

if TYPE_CHECKING:
    from conftest import EmulatedAws, MakeRunFile

MakeContext = Callable[..., Context]


def endpoint(kubeconfig: Path, **deploy: Any) -> dict[str, Any]:
    return {"name": "pods", "protocol": "openai", "model": "meta-llama/Llama-3.1-8B-Instruct",
            "deploy": {"target": "eks", "kubeconfig": str(kubeconfig), "container": "vllm", "devices": 2,
                       "tensor_parallel": 2, **deploy}}


def test_pods_serve_behind_a_load_balancer_and_nothing_stays(
        kubeconfig: Path, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(kubeconfig))
    context = make_context(run_file)
    made = lifecycle.up(run_file, context)
    assert made.endpoints[0].url == "http://model.elb.us-east-1.amazonaws.com/v1"
    assert lifecycle.up(run_file, make_context(run_file)).endpoints == made.endpoints
    lifecycle.down(context)
    assert not any(entry.up for entry in context.ledger.entries())
    assert KINDS.load("k8s-namespace")().find(context.ledger.entries()[0].resource, context) is None


def test_inside_the_cluster_the_service_is_the_address(
        kubeconfig: Path, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(kubeconfig, access="cluster", container="vllm-neuronx", devices=1,
                                      instance_type="inf2.xlarge"))
    context = make_context(run_file)
    url = lifecycle.up(run_file, context).endpoints[0].url
    assert url is not None and url.startswith("http://model.fmload-pods-") and url.endswith(".svc/v1")
    lifecycle.down(context)


def test_an_image_that_cannot_be_pulled_is_told_at_once_and_cleaned_up(
        kubeconfig: Path, make_run_file: MakeRunFile, tmp_path: Path) -> None:
    bad = endpoint(kubeconfig, image="registry.test/missing:1")
    del bad["deploy"]["container"]
    results = Results(tmp_path / "r")
    with pytest.raises(FmloadError, match="ImagePullBackOff: not found"), \
            lifecycle.deployed(make_run_file(bad), results, yes=True):
        raise AssertionError("the block must not be entered")
    assert not any(entry.up for entry in Ledger.open(results.root / NAME).entries())


def test_a_node_without_its_device_plugin_is_told_before_anything_is_made(
        kubeconfig: Path, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(kubeconfig, instance_type="g5.xlarge"))
    context = make_context(run_file)
    with pytest.raises(FmloadError, match="is the device plugin installed"):
        lifecycle.up(run_file, context)
    assert context.ledger.entries() == []


def test_a_cluster_that_does_not_answer_is_an_error_with_its_name(
        make_run_file: MakeRunFile, make_context: MakeContext, tmp_path: Path) -> None:
    config = tmp_path / "dead"
    config.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}], "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}]}))
    run_file = make_run_file(endpoint(config))
    with pytest.raises(FmloadError, match="the cluster does not answer"):
        lifecycle.up(run_file, make_context(run_file))


def test_a_token_for_eks_is_a_signed_identity_request_for_that_cluster(aws: EmulatedAws) -> None:
    token = eks_token(aws.client("sts"), "prod").removeprefix("k8s-aws-v1.")
    url = urllib.parse.urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    query = urllib.parse.parse_qs(url.query)
    assert query["Action"] == ["GetCallerIdentity"] and query["X-Amz-Expires"] == ["60"]
    assert "x-k8s-aws-id" in query["X-Amz-SignedHeaders"][0]


def test_a_node_group_is_in_the_ledger_priced_and_deleted(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    role = "arn:aws:iam::123456789012:role/nodes"
    aws.client("eks").create_cluster(name="prod", roleArn=role, resourcesVpcConfig={"subnetIds": ["subnet-1"]})
    group = {"instance_type": "inf2.xlarge", "count": 2, "role": role, "subnets": ["subnet-1"]}
    run_file = make_run_file({**endpoint(Path("unused")), "deploy": {
        "target": "eks", "cluster": "prod", "container": "vllm-neuronx", "node_group": group, "start_timeout": "5s"}})
    context = make_context(run_file)
    [plan] = lifecycle.plans(run_file, context)
    assert plan.hourly == pytest.approx(2 * 0.7582)
    with pytest.raises(FmloadError, match="certificate cannot be used"):  # no Kubernetes is behind the emulated EKS
        lifecycle.up(run_file, context)
    assert any(":nodegroup/" in arn for arn in eks_tagged(aws, context.run_id))
    lifecycle.down(context)
    assert eks_tagged(aws, context.run_id) == []


@pytest.mark.parametrize(("capacity", "purchase"), [("ON_DEMAND", "on_demand"), ("SPOT", "spot")])
def test_added_nodes_have_the_price_of_how_they_are_bought(
        make_run_file: MakeRunFile, make_context: MakeContext, capacity: str, purchase: str) -> None:
    group = {"instance_type": "g5.xlarge", "count": 2, "role": "arn:aws:iam::123456789012:role/nodes",
             "subnets": ["subnet-1"], "capacity": capacity}
    run_file = make_run_file({**endpoint(Path("unused")), "deploy": {
        "target": "eks", "cluster": "prod", "container": "vllm", "node_group": group}})
    target = EKS(run_file.endpoints[0], make_context(run_file))
    assert {"count": 2, "purchase": purchase}.items() <= target.defaults()["price"].items()
    hourly = sum_or_none(resource.hourly for resource in target.plan().resources)
    assert hourly == (None if purchase == "spot" else pytest.approx(2 * 1.006))


def eks_tagged(aws: EmulatedAws, run_id: str) -> list[str]:
    eks = aws.client("eks")
    groups = [eks.describe_nodegroup(clusterName="prod", nodegroupName=name)["nodegroup"]
              for name in eks.list_nodegroups(clusterName="prod")["nodegroups"]]
    return [group["nodegroupArn"] for group in groups if group["tags"].get("fmload:run") == run_id]


@pytest.mark.parametrize("name", ["vllm", "sglang", "tgi", "lmi", "vllm-neuronx", "tgi-neuronx", "vllm-neuronx-trn2"])
@pytest.mark.parametrize("access", ["cluster", "internal"])
def test_every_manifest_is_valid_by_kubernetes_own_schemas(name: str, access: str) -> None:
    container = images.container("ec2", name, "us-east-1")
    serving = images.Serving("meta-llama/Llama-3.1-8B-Instruct", 2, 4096, 8)
    for manifest in manifests(
            name="fmload-x", run_id="run: 1", hf_token="hf_\"x", replicas=1, instance_type="inf2.xlarge",
            resource="aws.amazon.com/neuron", image=container.image, arguments=container.arguments(serving),
            env=sorted({**container.environment(serving), "ODD": "a: 'b' #c"}.items()), port=container.port,
            health=container.health, devices=1, access=access, allow=["10.0.0.0/8"], startup_looks=360):
        kubernetes_validate.validate(manifest, "1.33", strict=True)
