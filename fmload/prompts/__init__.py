"""Prompt sources, filters, templates and tokenizers. One file a source and one line here."""

from fmload.base.registry import Registry

SOURCES = Registry("prompt source", {
    "synthetic": "fmload.prompts.synthetic:Synthetic",
    "fixed": "fmload.prompts.fixed:Fixed",
    "random": "fmload.prompts.random_tokens:RandomTokens",
    "shared_prefix": "fmload.prompts.shared_prefix:SharedPrefix",
    "conversation": "fmload.prompts.conversation:Conversation",
    "jsonl": "fmload.prompts.table:Table",
    "csv": "fmload.prompts.table:Table",
    "parquet": "fmload.prompts.table:Table",
    "longbench": "fmload.prompts.longbench:LongBench",
    "qmsum": "fmload.prompts.qmsum:QMSum",
    "sharegpt": "fmload.prompts.sharegpt:ShareGPT",
    "openorca": "fmload.prompts.openorca:OpenOrca",
    "azure_trace": "fmload.prompts.azure_trace:AzureTrace",
    "burstgpt": "fmload.prompts.burstgpt:BurstGPT",
    "mooncake": "fmload.prompts.mooncake:Mooncake",
    "log": "fmload.prompts.log:Log",
})

from fmload.prompts.preparation import prepare, wanted  # noqa: E402  (they look sources up)
from fmload.prompts.store import prompts_for, read, shards  # noqa: E402

__all__ = ["SOURCES", "prepare", "prompts_for", "read", "shards", "wanted"]
