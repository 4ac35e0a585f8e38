"""What users of a scenario ask beside their chat: vectors and rankings, each of an endpoint for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fmload.config.abilities import made_by


@dataclass(frozen=True, slots=True)
class Beside:
    """`call`: the method of the client; `what` is asked for, by `protocol`, of an endpoint that `does` it."""

    call: str
    what: str
    protocol: str
    does: str


BESIDE: Mapping[str, Beside] = {  # by what answers are
    "vectors": Beside("embed", "embeddings", "embeddings", "embeds"),
    "rankings": Beside("rerank", "rankings", "rerank", "ranks"),
}


def is_beside(endpoint: Any) -> bool:
    """Whether an endpoint is asked by the users of the others, and has none of its own."""
    return made_by(endpoint) in BESIDE
