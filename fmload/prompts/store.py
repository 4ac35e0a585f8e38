"""Prompt sets on disk: one JSON line a prompt; read whole, dealt in shards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt

if TYPE_CHECKING:
    from fmload.config.schema import EndpointSpec

_ABSENT = Prompt(id="", prompt_set="")
_FIELDS = tuple(field.name for field in fields(Prompt))


def write(path: Path, prompts: Iterable[Prompt]) -> None:
    """Write the prompts in the order given; absent fields are left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dumps(prompts))


def dumps(prompts: Iterable[Prompt]) -> bytes:
    """The content of such a file."""
    return b"".join(orjson.dumps(_plain(prompt), option=orjson.OPT_APPEND_NEWLINE) for prompt in prompts)


def read(path: Path) -> list[Prompt]:
    """The prompts of a file that `write` wrote, in its order. Raises FmloadError on anything else."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise FmloadError(f"{path}: {error.strerror}", hint="'fmload prompts' prepares the prompt sets") from error
    try:
        return [Prompt(**orjson.loads(line)) for line in lines]
    except (TypeError, ValueError) as error:
        raise FmloadError(f"{path}: not a file of prompts: {error}", hint="prepare the prompts again") from error


def prompts_for(prompts: Sequence[Prompt], tokenizer: str) -> list[Prompt]:
    """Those prompts of a set that were made for endpoints with this tokenizer (`counted_by` of the endpoint)."""
    return [prompt for prompt in prompts if prompt.tokenizer == tokenizer]


def counted_by(spec: EndpointSpec) -> str:
    """What counts the prompts of an endpoint: its tokenizer, or its own server (`align: server`)."""
    return spec.tokenizer if getattr(spec.options, "align", None) is None else f"server of {spec.name}"


def of_endpoint(prompts: list[Prompt], spec: EndpointSpec) -> list[Prompt]:
    """Those prompts that this endpoint is sent: its tokenizer's; all where none is, as in sets made elsewhere."""
    return prompts_for(prompts, counted_by(spec)) or prompts


def shards(prompts: Sequence[Prompt], n: int) -> list[list[Prompt]]:
    """The prompts dealt to `n` workers: disjoint, together everything; a conversation stays in one shard, in order."""
    dealt: list[list[Prompt]] = [[] for _ in range(n)]
    places: dict[str, int] = {}
    for prompt in prompts:
        unit = prompt.conversation or prompt.id
        dealt[places.setdefault(unit, len(places) % n)].append(prompt)
    return dealt


def _plain(prompt: Prompt) -> dict[str, Any]:
    """The prompt without what is as it is in any prompt."""
    values = {name: getattr(prompt, name) for name in _FIELDS}
    return {name: value for name, value in values.items()
            if name in ("id", "prompt_set") or value != getattr(_ABSENT, name)}
