"""What Azure's OpenAI paths have of their own: the header of the key, `api-version`, and a deployment in the path."""

from __future__ import annotations

from fmload.endpoints.http import bearer
from fmload.wire.exchange import Address

_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com", ".openai.azure.us")


def azure_or_bearer(key: str, address: Address) -> tuple[str, str]:
    """Azure's hosts take a key in `api-key`, all others as a bearer token."""
    return ("api-key", key) if address.host.lower().endswith(_HOSTS) else bearer(key, address)


def azure_path(base: str, path: str, api_version: str, deployment: str | None = None) -> str:
    """The path of a resource's URL: `/openai/deployments/NAME` where there is a deployment, else `/openai`."""
    if not base:
        base = f"/openai/deployments/{deployment}" if deployment else "/openai"
    return f"{base}{path}?api-version={api_version}"
