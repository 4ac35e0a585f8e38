"""Prompt sources, filters, templates and tokenizers. One file a source and one line here."""

from fmload.registry import Registry

SOURCES = Registry("prompt source", {
    "synthetic": "fmload.prompts.synthetic:Synthetic",
    "jsonl": "fmload.prompts.jsonl:Jsonl",
})
