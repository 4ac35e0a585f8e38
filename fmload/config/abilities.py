"""What an endpoint's protocol can do, asked of the protocol by the keys of its entry, be that read already or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmload.plugins import ENDPOINTS


def carried_by(endpoint: Any) -> frozenset[str] | None:
    """The kinds of media for which an endpoint's protocol has a place; None where that is not known."""
    found: frozenset[str] | None = _told("carries", endpoint)
    return found


def made_by(endpoint: Any) -> str:
    """What the answers of an endpoint are (`fmload.endpoints.base.Made`); text where its protocol does not say."""
    return str(_told("makes", endpoint) or "text")


def _told(ability: str, endpoint: Any) -> Any:
    protocol = endpoint.get("protocol") if isinstance(endpoint, Mapping) else getattr(endpoint, "protocol", None)
    if not isinstance(protocol, str) or protocol not in ENDPOINTS:
        return None
    asked = getattr(ENDPOINTS.load(protocol), ability, None)
    return None if asked is None else asked(_keys(endpoint))


def _keys(endpoint: Any) -> Mapping[str, Any]:
    """The keys of an endpoint, flat."""
    if isinstance(endpoint, Mapping):
        return endpoint
    own = getattr(endpoint, "options", None)
    return {"model": endpoint.model, "protocol": endpoint.protocol, **(own.model_dump() if own is not None else {})}
