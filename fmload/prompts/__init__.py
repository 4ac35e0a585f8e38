"""Prompt sources, filters, templates and tokenizers. One file a source and one line in `fmload.plugins`."""

from fmload.prompts.preparation import prepare, wanted
from fmload.prompts.store import prompts_for, read, shards

__all__ = ["prepare", "prompts_for", "read", "shards", "wanted"]
