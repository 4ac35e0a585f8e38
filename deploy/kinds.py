"""The table of resource kinds. `down` needs no more than this and a ledger."""

from fmload.registry import Registry

KINDS = Registry("resource kind", {
    "process": "deploy.processes:Process",
})
