"""JumpStart models: image, weights and environment from SageMaker's public hub, through boto3 alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fmload.base.errors import FmloadError
from fmload_deploy.aws import explained

_HUB = "SageMakerPublicHub"


@dataclass(frozen=True, slots=True)
class JumpStartModel:
    """What the hub says it takes to serve a model. `eula` is the licence that must be accepted first, if any."""

    image: str
    data_source: Mapping[str, Any] | None
    environment: Mapping[str, str] = field(default_factory=dict)
    eula: str | None = None


def jumpstart_model(client: Any, model_id: str, instance_type: str, accept_eula: bool) -> JumpStartModel:
    """The model of that id for an instance type. Raises FmloadError for an unknown id or an unaccepted licence."""
    with explained(f"JumpStart model '{model_id}'"):
        content = client.describe_hub_content(HubName=_HUB, HubContentType="Model", HubContentName=model_id)
    model = read_document(json.loads(content["HubContentDocument"]), instance_type, accept_eula)
    if model.eula and not accept_eula:
        raise FmloadError(f"JumpStart model '{model_id}' has a licence: {model.eula}",
                          hint="read it, then write accept_eula: true")
    return model


def read_document(document: Mapping[str, Any], instance_type: str, accept_eula: bool) -> JumpStartModel:
    """The hub's document of a model, for an instance type."""
    variant = _variant(document.get("HostingInstanceTypeVariants") or {}, instance_type)
    environment = {entry["Name"]: str(entry["Default"]) for entry in document.get("InferenceEnvironmentVariables") or ()
                   if entry.get("Default") is not None}
    environment |= {key: str(value) for key, value in (variant.get("EnvironmentVariables") or {}).items()}
    return JumpStartModel(variant.get("ImageUri") or document["HostingEcrUri"],
                          _data_source(document, variant, accept_eula), environment, document.get("HostingEulaUri"))


def _variant(variants: Mapping[str, Any], instance_type: str) -> Mapping[str, Any]:
    """The properties of an instance type: its own over its family's."""
    named = variants.get("Variants") or {}
    family = instance_type.split(".")[1]
    merged: dict[str, Any] = {}
    for name in (family, instance_type):
        merged |= (named.get(name) or {}).get("Properties") or {}
    return merged


def _data_source(document: Mapping[str, Any], variant: Mapping[str, Any], accept_eula: bool) -> dict[str, Any] | None:
    uri = variant.get("ArtifactUri") or document.get("HostingArtifactUri")
    if uri is None:
        return None
    folder = document.get("HostingArtifactS3DataType", "S3Prefix" if uri.endswith("/") else "S3Object") == "S3Prefix"
    source = {"S3Uri": uri, "S3DataType": "S3Prefix" if folder else "S3Object",
              "CompressionType": document.get("HostingArtifactCompressionType", "None" if folder else "Gzip")}
    return {"S3DataSource": source | ({"ModelAccessConfig": {"AcceptEula": True}} if accept_eula else {})}
