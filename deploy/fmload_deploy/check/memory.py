"""How much memory a model takes: weights and KV cache against accelerators and host, from the dated tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fmload.base.resources import table

GIB = 1024 ** 3
_BYTES = 2  # of a key or a value, in 16 bits
_USABLE = 0.90  # of an accelerator's memory, as vLLM takes it by default
_OVERHEAD_GIB = 1.5  # on each accelerator: runtime, graphs, activations


@dataclass(frozen=True, slots=True)
class Model:
    """What configs/models.yml knows of a model; sizes in GiB, parameters in billions."""

    parameters_b: float
    weights_gib: float
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    gated: bool = False
    experts: bool = False  # a mixture of them

    def kv_gib(self, tokens: int, shards: int) -> float:
        """GiB of keys and values of so many tokens over all shards; heads are copied where there are more shards.

        2 (key and value) × layers × heads × head size × 2 bytes a token.
        """
        return 2 * self.layers * max(self.kv_heads, shards) * self.head_dim * _BYTES * tokens / GIB


@dataclass(frozen=True, slots=True)
class Machine:
    """What configs/accelerators.yml knows of an instance type: accelerators, and memory in GiB, disks in GB."""

    kind: str
    count: int
    memory_gib: float
    host_gib: float
    disk_gb: int


def model_of(name: str) -> Model | None:
    """The model of that name; None when the table does not know it."""
    entry = table("models.yml")["models"].get(name)
    return None if entry is None else Model(**entry)


def machine_of(instance_type: str) -> Machine | None:
    """The instance type (`ml.` types as their EC2 kin); None when the table does not know it."""
    entry: dict[str, Any] | None = table("accelerators.yml")["instances"].get(instance_type.removeprefix("ml."))
    return None if entry is None else Machine(
        entry["kind"], entry["count"], entry["memory_mib"] / 1024, entry["host_mib"] / 1024, entry["disk_gb"])


def room_gib(memory_gib: float, shards: int) -> float:
    """What a copy of so many shards has for weights and KV cache, each shard with `memory_gib`."""
    return (memory_gib * _USABLE - _OVERHEAD_GIB) * shards
