"""How much of an instance's memory bandwidth and operations a load used: estimates, from dated tables. Pure.

A decoding step reads the weights once and the keys and values of every request of the batch; a token, of a prompt or of
an answer, costs two operations a parameter. Attention's own operations, activations and what tensor parallelism sends
around are left out. What is not in the tables is not estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fmload.base.resources import table

GIB, GIGA, TERA = 1024**3, 1e9, 1e12
_KV_BYTES = 2  # of a key or a value, in 16 bits
_PER_PARAMETER = 2  # operations a token: a product and a sum


@dataclass(frozen=True, slots=True)
class Load:
    """What a stage did. `cached_share`: of the input tokens, those that were not computed anew."""

    output_tokens_per_s: float
    tpot_s: float
    input_tokens_per_s: float
    input_tokens_mean: float
    output_tokens_mean: float
    cached_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Roofline:
    """Shares of what the accelerators reach at most: `decode_mbu` of the bandwidth while it decodes, `decode_mfu` and
    `prefill_mfu` of the 16-bit operations over the window. `batch`: requests that decode at a time; `ridge_batch`: the
    batch from which on operations, not bandwidth, would bound decoding (None: never, as each request's own keys and
    values take the bandwidth)."""

    accelerators: str
    batch: float
    decode_mbu: float
    decode_mfu: float
    prefill_mfu: float
    ridge_batch: float | None
    date: str


def roofline(model: str | None, instance_type: str | None, load: Load, instances: int = 1) -> Roofline | None:
    """The estimate, of one copy over all accelerators; None where the size of the model or the accelerator is not
    known, for a mixture of experts, and where nothing was decoded."""
    size = table("models.yml")["models"].get(model) if model else None
    machine = table("accelerators.yml")["instances"].get(instance_type.removeprefix("ml.")) if instance_type else None
    if size is None or machine is None or not machine["count"] or size.get("experts") or load.tpot_s <= 0:
        return None
    peaks = table("peaks.yml")
    peak = _peak(peaks["accelerators"], machine)
    if peak is None:
        return None
    count = machine["count"] * instances
    operations, bandwidth = count * peak["tflops_16bit"] * TERA, count * peak["bandwidth_gb_s"] * GIGA
    return _estimate(size, load, operations, bandwidth, f"{count} × {machine['name']}", str(peaks["date"]))


def _peak(known: Mapping[str, Any], machine: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of accelerators that come with several sizes of memory, that of its own."""
    sized = f"{machine['name']} {round(machine['memory_mib'] / 1024)}GB"
    found: Mapping[str, Any] | None = known.get(sized) or known.get(machine["name"])
    return found


def _estimate(size: Mapping[str, Any], load: Load, operations: float, bandwidth: float, what: str,
              date: str) -> Roofline:
    batch = load.output_tokens_per_s * load.tpot_s  # Little's law of the tokens under way
    weights = size["weights_gib"] * GIB
    context = load.input_tokens_mean + load.output_tokens_mean / 2
    kept = 2 * size["layers"] * size["kv_heads"] * size["head_dim"] * _KV_BYTES * context  # bytes a request
    per_token = _PER_PARAMETER * size["parameters_b"] * GIGA
    slope = per_token / operations - kept / bandwidth  # seconds that a request more takes: of operations, less bytes
    return Roofline(
        what, batch, (weights + batch * kept) / load.tpot_s / bandwidth,
        per_token * load.output_tokens_per_s / operations,
        per_token * load.input_tokens_per_s * (1 - load.cached_share) / operations,
        weights / bandwidth / slope if slope > 0 else None, date)
