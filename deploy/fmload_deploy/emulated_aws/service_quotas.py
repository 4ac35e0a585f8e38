"""The quotas of Bedrock, SageMaker and EC2; moto knows those of VPC only."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
from moto.servicequotas.responses import ServiceQuotasResponse

from fmload_deploy.emulated_aws.layer import lay
from fmload_deploy.emulated_aws.scenario import IN_FORCE

_BEDROCK = {"On-demand model inference requests per minute for Amazon Nova Micro": 2000.0,
            "On-demand model inference tokens per minute for Amazon Nova Micro": 4_000_000.0,
            "On-demand model inference requests per minute for Amazon Nova Lite": 2000.0}
_INSTANCES, _VCPUS = 20.0, 2000.0  # what an account of some age has been given


def apply() -> None:
    """Lay this module over moto's Service Quotas, in this process."""
    lay(ServiceQuotasResponse, list_service_quotas=_list_service_quotas, get_service_quota=_get_service_quota)


def _list_service_quotas(self: Any) -> str:
    service = json.loads(self.body)["ServiceCode"]
    quotas = {"bedrock": _BEDROCK, "sagemaker": _sagemaker()}.get(service, {})
    return json.dumps({"Quotas": [
        {"ServiceCode": service, "QuotaName": name, "QuotaCode": f"L-{number:08X}",
         "Value": IN_FORCE.quotas.get(name, value)} for number, (name, value) in enumerate(quotas.items())]})


def _sagemaker() -> dict[str, float]:
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape: Any = model.shape_for("ProductionVariantInstanceType")
    return {f"{name} for endpoint usage": _INSTANCES for name in shape.enum}


def _get_service_quota(self: Any) -> str:
    asked = json.loads(self.body)
    code = asked["QuotaCode"]
    return json.dumps({"Quota": {"ServiceCode": asked["ServiceCode"], "QuotaCode": code,
                                 "QuotaName": f"Running instances ({code})",
                                 "Value": IN_FORCE.quotas.get(code, _VCPUS)}})
