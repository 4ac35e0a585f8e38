"""Embeds on this machine, by model2vec or sentence-transformers; both are extras, loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from fmload.base.errors import FmloadError, first_line
from fmload_analysis.evaluate.embeddings import Embed, EmbeddingSpec, Vector

_EXTRAS = {"model2vec": "embeddings", "sentence-transformers": "sentence-transformers"}


def local_model(spec: EmbeddingSpec) -> Embed:
    """The model that the spec names. Raises FmloadError when its library or the model itself is not here."""
    library = _library(spec.library)
    try:
        model = _LOADERS[spec.library](library, spec.model)
    except Exception as error:  # both libraries raise whatever their loaders, parsers and the Hub's client do
        raise FmloadError(f"embedding: {spec.library} cannot load '{spec.model}': {first_line(error)}",
                          hint=_REMEDY) from error
    return lambda texts: _vectors(model, texts)


_REMEDY = ("give the model's folder, or its Hugging Face name where the Hub can be reached; `library` says what it was "
           "made for, model2vec or sentence-transformers")


def _library(name: str) -> Any:
    try:
        return import_module(name.replace("-", "_"))
    except ImportError as error:
        raise FmloadError(f"embedding: {name} is not installed", hint=f"pip install 'fmload[{_EXTRAS[name]}]', or "
                          "`url` of an embedding server") from error


_LOADERS = {
    "model2vec": lambda library, model: library.StaticModel.from_pretrained(model, force_download=False),
    "sentence-transformers": lambda library, model: library.SentenceTransformer(model),
}


def _vectors(model: Any, texts: Sequence[str]) -> list[Vector]:
    """Both libraries cut texts at the model's own limit of tokens."""
    return list(np.asarray(model.encode(list(texts), show_progress_bar=False), dtype=float)) if texts else []
