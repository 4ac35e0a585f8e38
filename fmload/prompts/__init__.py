"""Prompt sources, filters, templates and tokenizers. One file a source and one line here."""

from fmload.registry import Registry

SOURCES = Registry("prompt source", {
    "synthetic": "fmload.prompts.synthetic:Synthetic",
    "jsonl": "fmload.prompts.jsonl:Jsonl",
})

from fmload.prompts.preparation import prepare, wanted  # noqa: E402  (they look sources up)
from fmload.prompts.store import prompts_for, read, shards  # noqa: E402

__all__ = ["SOURCES", "prepare", "prompts_for", "read", "shards", "wanted"]
