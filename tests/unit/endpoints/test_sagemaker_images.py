"""The payload format, told by asking SageMaker for the endpoint's image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from fmload.base.errors import FmloadError
from fmload.endpoints.sagemaker_images import format_of_endpoint

VLLM = "763104351884.dkr.ecr.us-east-1.amazonaws.com/vllm:0.30.0-gpu-py312-cu130-ubuntu24.04-sagemaker"
_ARN = "arn:aws:sagemaker:us-east-1:123456789012:x/x"
_TIME = "2026-01-01T00:00:00Z"


@dataclass
class Session:
    """Gives the one client that it was made with."""

    made: Any

    def client(self, service: str) -> Any:
        assert service == "sagemaker"
        return self.made


@pytest.fixture(scope="module")
def client() -> Any:
    return boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def _endpoint() -> dict[str, Any]:
    return {"EndpointName": "e", "EndpointArn": _ARN, "EndpointConfigName": "c", "EndpointStatus": "InService",
            "CreationTime": _TIME, "LastModifiedTime": _TIME}


def _config(**variant: Any) -> dict[str, Any]:
    return {"EndpointConfigName": "c", "EndpointConfigArn": _ARN, "CreationTime": _TIME,
            "ProductionVariants": [{"VariantName": "v", **variant}]}


def _model(**containers: Any) -> dict[str, Any]:
    return {"ModelName": "m", "ModelArn": _ARN, "CreationTime": _TIME, **containers}


@pytest.mark.parametrize("containers", [{"PrimaryContainer": {"Image": VLLM}}, {"Containers": [{"Image": VLLM}]}])
def test_endpoint_config_and_model_lead_to_the_image(client: Any, containers: dict[str, Any]) -> None:
    with Stubber(client) as stub:
        stub.add_response("describe_endpoint", _endpoint(), {"EndpointName": "e"})
        stub.add_response("describe_endpoint_config", _config(ModelName="m"), {"EndpointConfigName": "c"})
        stub.add_response("describe_model", _model(**containers), {"ModelName": "m"})
        assert format_of_endpoint("x", "e", None, None, Session(client)) == "openai"


@pytest.mark.parametrize(("variant", "model"), [(None, "first"), ("blue", "first"), ("green", "second")])
def test_the_target_variant_leads_to_its_own_model(client: Any, variant: str | None, model: str) -> None:
    config = _config(ModelName="first")
    config["ProductionVariants"] = [{"VariantName": "blue", "ModelName": "first"},
                                    {"VariantName": "green", "ModelName": "second"}]
    with Stubber(client) as stub:
        stub.add_response("describe_endpoint", _endpoint(), {"EndpointName": "e"})
        stub.add_response("describe_endpoint_config", config, {"EndpointConfigName": "c"})
        stub.add_response("describe_model", _model(PrimaryContainer={"Image": VLLM}), {"ModelName": model})
        assert format_of_endpoint("x", "e", None, variant, Session(client)) == "openai"


def test_a_variant_that_is_not_there_is_named_with_those_that_are(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_response("describe_endpoint", _endpoint(), {"EndpointName": "e"})
        stub.add_response("describe_endpoint_config", _config(ModelName="m"), {"EndpointConfigName": "c"})
        with pytest.raises(FmloadError, match="no variant 'green'"):
            format_of_endpoint("x", "e", None, "green", Session(client))


def test_an_inference_component_leads_to_its_own_model(client: Any) -> None:
    described = {"InferenceComponentName": "i", "InferenceComponentArn": _ARN, "EndpointName": "e", "EndpointArn": _ARN,
                 "CreationTime": _TIME, "LastModifiedTime": _TIME, "Specification": {"ModelName": "m"}}
    with Stubber(client) as stub:
        stub.add_response("describe_inference_component", described, {"InferenceComponentName": "i"})
        stub.add_response("describe_model", _model(PrimaryContainer={"Image": VLLM}), {"ModelName": "m"})
        assert format_of_endpoint("x", "e", "i", None, Session(client)) == "openai"


def test_an_image_that_is_not_known_asks_for_the_format(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_response("describe_endpoint", _endpoint())
        stub.add_response("describe_endpoint_config", _config(ModelName="m"))
        stub.add_response("describe_model", _model(PrimaryContainer={"Image": "my-own:1"}))
        with pytest.raises(FmloadError, match=r"'x': no payload format is known for the image my-own:1\nhint: .*djl"):
            format_of_endpoint("x", "e", None, None, Session(client))


def test_a_refused_question_asks_for_the_format(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("describe_endpoint", "AccessDeniedException", "no")
        with pytest.raises(FmloadError, match=r"cannot tell the payload format: .*AccessDenied"):
            format_of_endpoint("x", "e", None, None, Session(client))
