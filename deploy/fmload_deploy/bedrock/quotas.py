"""The account's Bedrock quotas for a model: what the load will run into first."""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fmload.base.errors import first_line


def quotas_of(client: Any, model: str) -> list[str]:
    """`<name>: <value>` of every Bedrock quota that names the model; what kept them from being read, if something did.

    Quotas are named in words ("… requests per minute for Amazon Nova Micro"), models by id: all words of the id's
    family must be in the name.
    """
    words = words_of(model)
    try:
        pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
        quotas = [quota for page in pages for quota in page["Quotas"]]
    except (ClientError, BotoCoreError) as error:
        return [f"quotas could not be read: {first_line(error)}"]
    return [f"{quota['QuotaName']}: {quota['Value']:g}" for quota in quotas
            if words and words <= set(re.findall(r"[a-z0-9.]+", quota["QuotaName"].lower()))]


def words_of(model: str) -> set[str]:
    """The words of a model id that its quotas carry: `amazon.nova-micro-v1:0` gives nova, micro."""
    family = model.rpartition("/")[2].split(":")[0].split(".")[-1]
    return {word for word in family.lower().split("-") if word.isalpha()} - {"instruct"}
