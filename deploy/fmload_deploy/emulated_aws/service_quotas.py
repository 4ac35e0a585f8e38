"""The quotas of Bedrock; moto knows those of VPC only."""

from __future__ import annotations

import json
from typing import Any

from moto.servicequotas.responses import ServiceQuotasResponse

from fmload_deploy.emulated_aws.layer import lay

_BEDROCK = {"On-demand model inference requests per minute for Amazon Nova Micro": 2000.0,
            "On-demand model inference tokens per minute for Amazon Nova Micro": 4_000_000.0,
            "On-demand model inference requests per minute for Amazon Nova Lite": 2000.0}


def apply() -> None:
    """Lay this module over moto's Service Quotas, in this process."""
    lay(ServiceQuotasResponse, list_service_quotas=_list_service_quotas)


def _list_service_quotas(self: Any) -> str:
    service = json.loads(self.body)["ServiceCode"]
    quotas = _BEDROCK if service == "bedrock" else {}
    return json.dumps({"Quotas": [{"ServiceCode": service, "QuotaName": name, "Value": value}
                                  for name, value in quotas.items()]})
