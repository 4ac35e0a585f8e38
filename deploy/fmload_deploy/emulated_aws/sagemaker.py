"""SageMaker as it behaves: today's instance types, endpoints that take their time or fail, inference components.

An endpoint whose name contains `fail` ends as Failed. How long things take is moto's own setting: model
`sagemaker::endpoint` of `POST /moto-api/state-manager/set-transition`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import botocore.session
from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.logs.models import logs_backends
from moto.moto_api import state_manager
from moto.moto_api._internal.managed_state_model import ManagedState
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import FakeEndpoint, FakeEndpointConfig, SageMakerModelBackend, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

from fmload_deploy.emulated_aws.layer import lay
from fmload_deploy.emulated_aws.scenario import IN_FORCE

_MODEL = "sagemaker::endpoint"
_PING_FAILED = ("The primary container for production variant AllTraffic did not pass the ping health check. "
                "Please check CloudWatch logs for this endpoint.")


def apply() -> None:
    """Lay this module over moto's SageMaker, in this process."""
    state_manager.register_default_transition(_MODEL, {"progression": "manual", "times": 2})
    lay(FakeEndpointConfig, validate_instance_type=_validate_instance_type)
    lay(FakeEndpoint, __init__=_starting(FakeEndpoint.__init__))
    backend = SageMakerModelBackend
    lay(backend, validate_production_variants=_validate_variants, describe_endpoint=_describe_endpoint,
        delete_endpoint=_delete_endpoint, iter_tagged_resources=_with_components(backend.iter_tagged_resources),
        create_endpoint=_unique("endpoint", "endpoints", backend.create_endpoint),
        create_endpoint_config=_unique("endpoint_config", "endpoint_configs", backend.create_endpoint_config),
        create_model=_unique("model", "_models", backend.create_model))
    lay(SageMakerResponse, update_endpoint=_update_endpoint, create_inference_component=_create_inference_component,
        describe_inference_component=_describe_inference_component,
        delete_inference_component=_delete_inference_component)


class _Life(ManagedState):
    def __init__(self, start: str, end: str) -> None:
        super().__init__(_MODEL, [(start, end)])

    def now(self) -> str:
        self.advance()
        return str(self.status)


def _validate_instance_type(_config: Any, instance_type: str) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape: Any = model.shape_for("ProductionVariantInstanceType")
    if instance_type not in shape.enum:
        raise ValidationError(message=f"1 validation error detected: Value '{instance_type}' at 'productionVariants.1."
                              "member.instanceType' failed to satisfy constraint: Member must satisfy enum value set")


def _validate_variants(backend: Any, variants: list[dict[str, Any]]) -> None:
    for variant in variants:
        name = variant.get("ModelName")  # absent where inference components bring the models
        if name is not None and name not in backend._models:
            raise ValidationError(message=f'Could not find model "{name}".')


def _unique(what: str, table: str, create: Any) -> Any:
    def checked(backend: Any, **arguments: Any) -> Any:
        name = arguments[f"{what}_name"]
        if name in getattr(backend, table):
            raise ValidationError(message=f'Cannot create already existing {what.replace("_", " ")} "{name}".')
        return create(backend, **arguments)
    return checked


def _starting(init: Any) -> Any:
    def started(endpoint: Any, *args: Any, **kwargs: Any) -> None:
        init(endpoint, *args, **kwargs)
        rule = IN_FORCE.start("CreateEndpoint", _environment(endpoint.endpoint_config_name, endpoint.arn))
        endpoint.failure = rule.get("fails") or (_PING_FAILED if "fail" in endpoint.endpoint_name else None)
        endpoint.life = _Life("Creating", "Creating" if rule.get("stuck") else
                              "Failed" if endpoint.failure else "InService")
        _write_log(endpoint, rule.get("log", ()))
        endpoint.endpoint_status = "Creating"
    return started


def _environment(config: Any, arn: str) -> str:
    """What the container of a configuration's model is started with."""
    region, account = arn.split(":")[3:5]
    backend = sagemaker_backends[account][region]
    variant = backend.endpoint_configs[config].production_variants[0]
    model = backend._models.get(str(variant.get("ModelName")))
    return json.dumps(model.primary_container if model is not None else {})


def _update_endpoint(self: Any) -> Any:
    backend, name, config = self.sagemaker_backend, self._get_param("EndpointName"), self._get_param(
        "EndpointConfigName")
    endpoint = _endpoint(backend, name)
    if endpoint.life.status != "InService":
        raise ValidationError(message=f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if config not in backend.endpoint_configs:
        raise ValidationError(message=f'Could not find endpoint configuration "{config}".')
    rule = IN_FORCE.start("UpdateEndpoint", _environment(config, endpoint.arn))
    endpoint.life, endpoint.failure = _Life("Updating", "Updating" if rule.get("stuck") else "InService"), rule.get(
        "fails")
    _write_log(endpoint, rule.get("log", ()))
    if endpoint.failure is None:
        endpoint.endpoint_config_name = config
    return ActionResult({"EndpointArn": endpoint.arn})


def _describe_endpoint(backend: Any, endpoint_name: str) -> dict[str, Any]:
    endpoint = _endpoint(backend, endpoint_name)
    endpoint.endpoint_status = endpoint.life.now()
    if endpoint.endpoint_status == "Deleted":
        del backend.endpoints[endpoint_name]
        return _describe_endpoint(backend, endpoint_name)
    answer = {key: value for key, value in endpoint.response_object.items()
              if key != "Life" and value not in ({}, None)}
    failed = endpoint.failure and endpoint.endpoint_status in ("Failed", "InService")  # in service: an update failed
    return answer | ({"FailureReason": endpoint.failure} if failed else {})


def _write_log(endpoint: Any, lines: Sequence[str]) -> None:
    """What the container said, where SageMaker puts it."""
    if not lines:
        return
    region, account = endpoint.arn.split(":")[3:5]
    logs = logs_backends[account][region]
    group = f"/aws/sagemaker/Endpoints/{endpoint.endpoint_name}"
    if group not in logs.groups:
        logs.create_log_group(group, tags={})
    stream = f"AllTraffic/i-{len(logs.groups[group].streams) + 1}"
    logs.create_log_stream(group, stream)
    logs.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": line}
                                                 for line in lines])


def _delete_endpoint(backend: Any, endpoint_name: str) -> None:
    endpoint = _endpoint(backend, endpoint_name)
    if endpoint.life.status in ("Creating", "Updating", "Deleting"):
        raise ValidationError(message=f'Cannot update in-progress endpoint "{endpoint.arn}".')
    endpoint.life = _Life("Deleting", "Deleted")


def _endpoint(backend: Any, name: str) -> Any:
    if name not in backend.endpoints:
        arn = f"arn:aws:sagemaker:{backend.region_name}:{backend.account_id}:endpoint/{name}"
        raise ValidationError(message=f'Could not find endpoint "{arn}".')
    return backend.endpoints[name]


def _components(backend: Any) -> dict[str, dict[str, Any]]:
    components: dict[str, dict[str, Any]] = backend.__dict__.setdefault("_fmload_components", {})
    return components


def _create_inference_component(self: Any) -> Any:
    backend, name = self.sagemaker_backend, self._get_param("InferenceComponentName")
    endpoint = _endpoint(backend, self._get_param("EndpointName"))
    if endpoint.life.status != "InService":
        raise ValidationError(message=f'Endpoint "{endpoint.endpoint_name}" is not in service.')
    arn = f"arn:aws:sagemaker:{backend.region_name}:{backend.account_id}:inference-component/{name}"
    _components(backend)[name] = {
        "InferenceComponentName": name, "InferenceComponentArn": arn, "EndpointName": endpoint.endpoint_name,
        "EndpointArn": endpoint.arn, "VariantName": self._get_param("VariantName"),
        "Specification": self._get_param("Specification"), "CreationTime": utcnow(), "LastModifiedTime": utcnow(),
        "tags": self._get_param("Tags") or [], "life": _Life("Creating", "Failed" if "fail" in name else "InService")}
    return ActionResult({"InferenceComponentArn": arn})


def _describe_inference_component(self: Any) -> Any:
    name = self._get_param("InferenceComponentName")
    component = _component(self.sagemaker_backend, name)
    status = component["life"].now()
    if status == "Deleted":
        del _components(self.sagemaker_backend)[name]
        return _describe_inference_component(self)
    shown = {key: value for key, value in component.items() if key not in ("life", "tags")}
    return ActionResult(shown | {"InferenceComponentStatus": status}
                        | ({"FailureReason": _PING_FAILED} if status == "Failed" else {}))


def _delete_inference_component(self: Any) -> Any:
    _component(self.sagemaker_backend, self._get_param("InferenceComponentName"))["life"] = _Life("Deleting", "Deleted")
    return EmptyResult()


def _component(backend: Any, name: str) -> dict[str, Any]:
    if name not in _components(backend):
        raise ValidationError(message=f'Could not find inference component "{name}".')
    return _components(backend)[name]


def _with_components(inner: Any) -> Any:
    def tagged(backend: Any) -> Iterator[TaggedResource]:
        for resource in inner(backend):
            arn = resource.arn[0] if isinstance(resource.arn, tuple) else resource.arn  # moto wraps a config's ARN
            yield TaggedResource(arn, resource.tags, resource.resource_type)
        for component in _components(backend).values():
            tags = {tag["Key"]: tag["Value"] for tag in component["tags"]}
            yield TaggedResource(component["InferenceComponentArn"], tags, "sagemaker:inference-component")
    return tagged
