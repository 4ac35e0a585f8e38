"""Counting tokens: the tokenizer that ships with the project, and any of Hugging Face's by name or folder.

Counts are of the text alone, without the marks (BOS and the like) that some tokenizers put around it;
`chat_count` adds what a chat template adds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, ClassVar

from fmload.base.errors import FmloadError, first_line

BUNDLED = "bundled"
# Letters with the space before them, up to three digits, punctuation, white space: the pieces in which the bundled
# tokenizer merges. Spelt out, so that Python's re and the tokenizers library agree on every character.
PIECES = r" ?[A-Za-z'\x{80}-\x{10FFFF}]+| ?[0-9]{1,3}| ?[^ \t\r\nA-Za-z0-9'\x{80}-\x{10FFFF}]+|[ \t\r\n]+"
_PIECES = re.compile(PIECES.replace(r"\x{80}", "\x80").replace(r"\x{10FFFF}", "\U0010ffff"))
_CACHED_PIECES = 200_000
# What a chat costs beside its text where no template says: OpenAI's published rule for its own chat models.
_PER_MESSAGE, _PER_CHAT = 4, 3

Message = Mapping[str, Any]


class Tokenizer:
    """A tokenizer. `name` is what the run file calls it; `identity` changes when any count could change."""

    name: str
    identity: str
    remote: ClassVar[bool] = False  # it counts elsewhere: not to be pickled, and worth several threads

    @staticmethod
    def load(name: str) -> Tokenizer:
        """`bundled`, a folder with a tokenizer in it, or a Hugging Face model name.

        Raises FmloadError when it is neither here nor to be had.
        """
        return _load(name)

    def encode(self, text: str) -> list[int]:
        """Token ids of the text."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids."""
        raise NotImplementedError

    @cached_property
    def plain_ids(self) -> list[int]:
        """Ids of the vocabulary that stand for printable text, special tokens left out."""
        texts = ((token, self.decode([token])) for token in self._ids())
        return [token for token, text in texts if text.isprintable() and text.strip() and "\ufffd" not in text]

    def _ids(self) -> Iterable[int]:
        raise NotImplementedError

    def count(self, text: str) -> int:
        """How many tokens the text has."""
        return len(self.encode(text))

    def chat_count(self, messages: Sequence[Message]) -> int:
        """Tokens of a chat up to where the answer begins: by the tokenizer's chat template where it has one, else
        the messages' text, 4 more a message and 3 more. Images are not counted."""
        return sum(self.count(_text(message)) + _PER_MESSAGE for message in messages) + _PER_CHAT


class _Bundled(Tokenizer):
    """Byte-level BPE of 6,000 entries; made by `python -m fmload.prompts.train`."""

    def __init__(self) -> None:
        import tokenizers

        source = files("fmload.prompts").joinpath("data/tokenizer.json").read_text(encoding="utf-8")
        self.name = BUNDLED
        self.identity = "bundled-" + hashlib.sha256(source.encode()).hexdigest()[:16]
        self._tokenizer = tokenizers.Tokenizer.from_str(source)
        self._counts: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).ids

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids))

    def count(self, text: str) -> int:
        counts = self._counts
        pieces = _PIECES.findall(text)
        try:
            return sum([counts[piece] for piece in pieces])
        except KeyError:
            self._learn(pieces)
        return sum([self._counts[piece] for piece in pieces])

    def _ids(self) -> Iterable[int]:
        return range(self._tokenizer.get_vocab_size())

    def _learn(self, pieces: list[str]) -> None:
        new = {piece for piece in pieces if piece not in self._counts}
        if len(self._counts) + len(new) > _CACHED_PIECES:
            self._counts.clear()
            new = set(pieces)
        self._counts.update((piece, len(self.encode(piece))) for piece in new)


class _HuggingFace(Tokenizer):
    """Any tokenizer that transformers can load."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tokenizer = _from_transformers(name)
        self.identity = "hf-" + _fingerprint(self._tokenizer)

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def _ids(self) -> Iterable[int]:
        special = {*self._tokenizer.all_special_ids, *self._tokenizer.added_tokens_decoder}
        return sorted(token for token in self._tokenizer.get_vocab().values() if token not in special)

    def chat_count(self, messages: Sequence[Message]) -> int:
        if not self._tokenizer.chat_template:
            return super().chat_count(messages)
        plain = [{**message, "content": _text(message)} for message in messages]
        rendered = self._tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
        return self.count(rendered)


@cache
def _load(name: str) -> Tokenizer:
    return _Bundled() if name == BUNDLED else _HuggingFace(name)


def bundled_count(text: str) -> int:
    """Tokens of the text by the bundled tokenizer; exactly its `count`, some 50 µs for 550 tokens once warm."""
    return _load(BUNDLED).count(text)


def _text(message: Message) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _from_transformers(name: str) -> Any:
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # long prompts are wanted here
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise FmloadError(
            f"tokenizer '{name}' cannot be loaded: {first_line(error)}",
            hint="use 'bundled', a folder with tokenizer.json, or a Hugging Face name (gated ones need HF_TOKEN; "
                 "without a network, download it beforehand and name the folder)") from error


def _fingerprint(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    parts = [backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items())),
             json.dumps(tokenizer.chat_template, sort_keys=True)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
