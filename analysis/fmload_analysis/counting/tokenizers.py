"""Which tokenizer counts an endpoint's answers: the model's own where it is named or at hand, else the server's own
`/tokenize`, else the one that ships with the project, whose counts are approximate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.prompts.aligned import aligned
from fmload.prompts.tokenizer import BUNDLED, Tokenizer

BYTES_A_TOKEN = 4
Source = Literal["tokenizer", "approximate"]


@dataclass(frozen=True, slots=True)
class Counter:
    """A tokenizer, in words, and what its counts are worth."""

    tokenizer: Tokenizer
    name: str
    source: Source

    def count(self, text: str) -> int:
        """Tokens of an answer, 1 at least. An approximate count is at most one token for four bytes, what English takes
        with a model's vocabulary (OpenAI's rule of thumb): the bundled tokenizer has 6,000 entries, and cuts words that
        it does not know into many."""
        found = self.tokenizer.count(text)
        if self.source == "approximate":
            found = min(found, -(-len(text.encode()) // BYTES_A_TOKEN))
        return max(1, found)


def counter_of(spec: EndpointSpec | None) -> Counter:
    """The counter of an endpoint; the bundled one where nothing is known of it."""
    bundled = Tokenizer.load(BUNDLED)
    if spec is None:
        return Counter(bundled, BUNDLED, "approximate")
    named = spec.tokenizer if spec.tokenizer != BUNDLED else _at_hand(spec.model)
    if named:
        try:
            return Counter(Tokenizer.load(named), named, "tokenizer")
        except FmloadError:
            pass  # told by the name of the one that is taken in its place
    try:
        if spec.protocol == "openai":
            return Counter(aligned(spec, "server", bundled), "the server's /tokenize", "tokenizer")
    except (FmloadError, AttributeError):
        pass
    return Counter(bundled, BUNDLED, "approximate")


def _at_hand(model: str | None) -> str | None:
    """The model's name where its tokenizer lies here: a folder, or the cache of Hugging Face. Nothing is downloaded."""
    if not model:
        return None
    if (Path(model) / "tokenizer.json").exists():
        return model
    try:
        from huggingface_hub import try_to_load_from_cache

        return model if isinstance(try_to_load_from_cache(model, "tokenizer.json"), str) else None
    except (ImportError, ValueError):  # a name that is no repository's
        return None
