"""The policies hold every call that the sources make, and none that nobody makes."""

from __future__ import annotations

import ast
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

import fmload_deploy
from fmload.base.resources import resource
from fmload.config.loading import load
from fmload_deploy.permissions import GRANTS, action, actions_of, document, policy
from fmload_deploy.sagemaker.kinds import Endpoint, EndpointConfig, InferenceComponent, Model

ROOT = Path(fmload_deploy.__file__).parent
ELSEWHERE = {"emulated_aws", "local", "fmbench", "templates"}
CALLED = {grant.service for grants in GRANTS.values() for grant in grants}
# Our own functions and the library's that bear the name of a call of one of the services.
NOT_CALLS = {"create_group", "search"}


def operations() -> set[str]:
    session = botocore.session.get_session()
    return {xform_name(name) for service in CALLED for name in session.get_service_model(service).operation_names}


def calls_of_the_sources() -> set[str]:
    """Names of client methods in the sources: called, asked for as paginators, or made of a SageMaker noun."""
    found = set[str]()
    for path in ROOT.rglob("*.py"):
        if path.parent.name in ELSEWHERE or path.name == "permissions.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_paginator"):
                found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    found |= {f"{verb}_{kind.noun}" for verb in ("describe", "delete")
              for kind in (Model, EndpointConfig, Endpoint, InferenceComponent)}
    return found & operations() - NOT_CALLS


def test_every_call_of_the_sources_is_granted_and_nothing_else_is() -> None:
    granted = {call for grants in GRANTS.values() for grant in grants for call in grant.calls}
    assert calls_of_the_sources() - granted == set()
    assert granted - calls_of_the_sources() == set()


def test_actions_are_named_as_iam_has_them() -> None:
    assert action("sagemaker", "create_model") == "sagemaker:CreateModel"
    assert action("service-quotas", "list_service_quotas") == "servicequotas:ListServiceQuotas"
    assert action("s3", "head_object") == "s3:GetObject"
    assert action("resourcegroupstaggingapi", "get_resources") == "tag:GetResources"


def test_what_is_not_deployed_needs_the_requests_alone() -> None:
    made = policy(load(resource("configs", "bedrock-two-models.yml")))
    assert {action for statement in made["Statement"] for action in statement["Action"]} == {
        "bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"}
    existing = policy(load(resource("configs", "sagemaker-existing.yml")))
    assert [statement["Action"] for statement in existing["Statement"]] == [
        ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"]]
    assert existing["Statement"][0]["Resource"][0].endswith(":endpoint/*")


@pytest.mark.parametrize("target", ["sagemaker", "ec2", "eks", "bedrock", "fleet"])
def test_a_policy_fits_into_iam_and_deletes_only_its_own(target: str) -> None:
    made = document([target], ["us-east-1"])
    assert len(str(made)) < 6144  # the most that a managed policy may have
    for statement in made["Statement"]:
        for name in statement["Action"]:
            wide = statement["Resource"] == ["*"] and "Condition" not in statement
            deletes = name.partition(":")[2].startswith(("Delete", "Terminate"))
            assert not (wide and deletes) or target == "bedrock", name


def test_the_partition_of_the_region_is_in_the_arns() -> None:
    assert all("arn:aws:" not in str(statement) for statement in document(["ec2"], ["cn-north-1"])["Statement"])
    assert "iam:SimulatePrincipalPolicy" in actions_of("ec2")
