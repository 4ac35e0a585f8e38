"""Cosine similarity of embeddings, whoever embeds: a server, or a model on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fmload.config.model import Rule, Strict
from fmload.config.values import ModelName

Vector = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Sequence[Vector]]  # one vector a text, all of one length


class EmbeddingSpec(Strict):
    """Where texts are embedded: by the server at `url`, without one by a model on this machine."""

    model: ModelName = Field(description="as the server calls it; without `url` a folder, or a Hugging Face name")
    url: str | None = Field(None, description="base URL of a server, for example http://10.0.0.5:8080/v1")
    api_key_env: str | None = Field(None, description="environment variable that holds the server's API key")
    library: Literal["model2vec", "sentence-transformers"] = Field(
        "model2vec", description="what loads a model on this machine")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "url" in given and "library" in given:
            yield "library", "is for a model on this machine: leave it out, or the url"
        if "url" not in given and "api_key_env" in given:
            yield "api_key_env", "is for a server, and there is no url"

    @property
    def label(self) -> str:
        """The model's name; of a folder its last part."""
        return PurePath(self.model).name if PurePath(self.model).is_absolute() else self.model


class Embeddings:
    """The vectors of the texts of an evaluation; `cosine` is a score like the others once they are fetched."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._vectors: dict[str, Vector] = {}

    def fetch(self, texts: Iterable[str]) -> None:
        """Embed what is not yet, each text once."""
        missing = [text for text in dict.fromkeys(texts) if text.strip() and text not in self._vectors]
        self._vectors.update(zip(missing, self._embed(missing), strict=True))

    def cosine(self, answer: str, reference: str) -> float:
        """The cosine of the angle between both texts' vectors, from −1 to 1; 0 where a text is blank."""
        first, second = self._vectors.get(answer), self._vectors.get(reference)
        if first is None or second is None:
            return 0.0
        lengths = math.sqrt(float(first @ first) * float(second @ second))
        return float(first @ second) / lengths if lengths else 0.0
