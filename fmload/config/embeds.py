"""Which endpoints answer with vectors, by their protocol and its keys."""

from __future__ import annotations

from typing import Any

from fmload.plugins import ENDPOINTS


def embeds(endpoint: Any) -> bool:
    """Whether an `EndpointSpec` is one for embeddings."""
    told = getattr(ENDPOINTS.load(endpoint.protocol), "embeds", False)
    return bool(told({"model": endpoint.model, **endpoint.options.model_dump()}) if callable(told) else told)
