"""Bedrock's control plane for serving: foundation models, access to them, provisioned throughput."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from moto.bedrock.models import bedrock_backends
from moto.bedrock.responses import BedrockResponse
from moto.bedrock.urls import url_paths
from moto.core.exceptions import JsonRESTError
from moto.core.resource_tagging import TaggedResource, make_tag_matcher
from moto.core.utils import utcnow
from moto.moto_api import state_manager
from moto.moto_api._internal.managed_state_model import ManagedState
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend

from fmload_deploy.emulated_aws.layer import lay

MODELS = ("amazon.nova-micro-v1:0", "amazon.nova-lite-v1:0", "meta.llama3-1-8b-instruct-v1:0",
          "anthropic.claude-haiku-4-5-20251001-v1:0")
NO_ACCESS = "anthropic.claude-haiku-4-5-20251001-v1:0"
_MODEL = "bedrock::provisioned-throughput"


def apply() -> None:
    """Lay this module over moto's Bedrock, in this process."""
    state_manager.register_default_transition(_MODEL, {"progression": "manual", "times": 2})
    for path in ("foundation-models/[^/]+$", "foundation-model-availability/[^/]+$", "provisioned-model-throughput$",
                 "provisioned-model-throughput/.+$"):
        url_paths["{0}/" + path] = BedrockResponse.dispatch
    lay(BedrockResponse, get_foundation_model=_get_foundation_model,
        get_foundation_model_availability=_get_foundation_model_availability,
        create_provisioned_model_throughput=_create_provisioned_model_throughput,
        get_provisioned_model_throughput=_get_provisioned_model_throughput,
        delete_provisioned_model_throughput=_delete_provisioned_model_throughput)
    tagging = ResourceGroupsTaggingAPIBackend
    lay(tagging, _get_resources_generator=_with_throughputs(tagging._get_resources_generator))


class _Life(ManagedState):
    def __init__(self) -> None:
        super().__init__(_MODEL, [("Creating", "InService")])


def _throughputs(backend: Any) -> dict[str, dict[str, Any]]:
    throughputs: dict[str, dict[str, Any]] = backend.__dict__.setdefault("_fmload_throughputs", {})
    return throughputs


def _last_part(self: Any) -> str:
    return unquote(self.path).rpartition("/")[2]


def _model(self: Any) -> str:
    name = _last_part(self)
    if name not in MODELS:
        raise JsonRESTError("ResourceNotFoundException", "Could not resolve the foundation model from the provided "
                            "model identifier.")
    return name


def _get_foundation_model(self: Any) -> str:
    name = _model(self)
    arn = f"arn:aws:bedrock:{self.region}::foundation-model/{name}"
    return json.dumps({"modelDetails": {"modelId": name, "modelArn": arn, "responseStreamingSupported": True,
                                        "inferenceTypesSupported": ["ON_DEMAND", "PROVISIONED"],
                                        "modelLifecycle": {"status": "ACTIVE"}}})


def _get_foundation_model_availability(self: Any) -> str:
    name = _model(self)
    allowed = name != NO_ACCESS
    available = "AVAILABLE" if allowed else "NOT_AVAILABLE"
    return json.dumps({"modelId": name, "agreementAvailability": {"status": available},
                       "authorizationStatus": "AUTHORIZED" if allowed else "NOT_AUTHORIZED",
                       "entitlementAvailability": available, "regionAvailability": "AVAILABLE"})


def _create_provisioned_model_throughput(self: Any) -> str:
    asked = json.loads(self.body)
    table, name = _throughputs(self.bedrock_backend), asked["provisionedModelName"]
    if any(one["provisionedModelName"] == name for one in table.values()):
        raise JsonRESTError("ConflictException", f"A provisioned model named {name} exists already.")
    arn = f"arn:aws:bedrock:{self.region}:{self.current_account}:provisioned-model/{len(table):012d}"
    now = utcnow().isoformat() + "Z"
    table[arn] = {**asked, "provisionedModelArn": arn, "creationTime": now, "lastModifiedTime": now, "life": _Life()}
    return json.dumps({"provisionedModelArn": arn})


def _found(self: Any) -> dict[str, Any]:
    wanted = unquote(self.path).partition("provisioned-model-throughput/")[2]
    for arn, one in _throughputs(self.bedrock_backend).items():
        if wanted in (arn, one["provisionedModelName"]):
            return one
    raise JsonRESTError("ResourceNotFoundException", f"Could not find provisioned model {wanted}.")


def _get_provisioned_model_throughput(self: Any) -> str:
    one = _found(self)
    one["life"].advance()
    model_arn = f"arn:aws:bedrock:{self.region}::foundation-model/{one['modelId']}"
    shown = {key: one[key] for key in ("modelUnits", "provisionedModelName", "provisionedModelArn", "creationTime",
                                       "lastModifiedTime")}
    return json.dumps(shown | {"desiredModelUnits": one["modelUnits"], "status": one["life"].status,
                               "modelArn": model_arn, "desiredModelArn": model_arn, "foundationModelArn": model_arn,
                               **({"commitmentDuration": one["commitmentDuration"]}
                                  if "commitmentDuration" in one else {})})


def _delete_provisioned_model_throughput(self: Any) -> str:
    one = _found(self)
    if one.get("commitmentDuration"):
        raise JsonRESTError("ConflictException", "A provisioned throughput cannot be deleted within its commitment.")
    del _throughputs(self.bedrock_backend)[one["provisionedModelArn"]]
    return "{}"


def _with_throughputs(inner: Any) -> Any:
    def generator(backend: Any, tag_filters: Any = None, *filters: Any, **more: Any) -> Iterator[TaggedResource]:
        yield from inner(backend, tag_filters, *filters, **more)
        matches = make_tag_matcher(tag_filters)
        for arn, one in _throughputs(bedrock_backends[backend.account_id][backend.region_name]).items():
            tags = {tag["key"]: tag["value"] for tag in one.get("tags", [])}
            if matches(tags):
                yield TaggedResource(arn, tags, "bedrock:provisioned-model")
    return generator
