"""The metrics of one request, straight from its record: the fast path of the live view.

The definitions are those of `fmload.metrics.definitions`; a property test holds both against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import orjson

from fmload.model.record import SAFE_CHECK, Record

Ints = npt.NDArray[np.int64]


def request_metrics_ns(record: Record) -> dict[str, Ints]:
    """TTFT, ICL, ITL, TPOT and E2E of one request in whole nanoseconds, as far as it has them."""
    found: dict[str, Ints] = {}
    for name in ("ttft", "e2e", "tpot"):
        value = REQUEST_METRICS_NS[name](record)
        if value is not None:
            found[name] = np.array([value])
    if len(record.chunk_ns) > 1 and record.choices <= 1:
        found |= _gaps_ns(record)
    return found


def is_good(record: Record, limits: Mapping[str, float]) -> bool:
    """Whether a request ended well and keeps every limit (as `scaled` makes them); what it lacks breaks none."""
    return record.outcome == "ok" and all(
        (value := REQUEST_METRICS_NS[name](record)) is None or value <= limit for name, limit in limits.items())


def scaled(limits: Mapping[str, float]) -> dict[str, float]:
    """Limits in the unit of their metrics as those of REQUEST_METRICS_NS: seconds become nanoseconds. Limits on metrics
    of other distributions, which have no fast form, are left to the report."""
    return {name: limit if name in _COUNTS else limit * 1e9
            for name, limit in limits.items() if name in REQUEST_METRICS_NS}


def _gaps_ns(record: Record) -> dict[str, Ints]:
    """The gaps whose ends are known exactly."""
    stamps: Ints = np.frombuffer(record.chunk_ns, np.int64)
    gaps = stamps[1:] - stamps[:-1]
    tokens: npt.NDArray[np.int32] = np.frombuffer(record.chunk_tokens, np.int32)[1:]
    if 1 in record.chunk_censored:
        censored = np.frombuffer(record.chunk_censored, np.int8).astype(bool)
        exact = ~(censored[1:] | censored[:-1])
        gaps, tokens = gaps[exact], tokens[exact]
    found = {"icl": gaps}
    if record.chunk_tokens_known:
        found["itl"] = np.repeat(gaps // np.maximum(tokens, 1), tokens)
    return {name: values for name, values in found.items() if len(values)}


def _between(begin: str, end: str) -> Callable[[Record], int | None]:
    def elapsed_ns(record: Record) -> int | None:
        begun, ended = getattr(record, begin), getattr(record, end)
        return None if begun is None or ended is None else ended - begun
    return elapsed_ns


def _tpot_ns(record: Record) -> int | None:
    first_ns, last_ns = record.first_token_ns, record.last_token_ns
    if not record.streamed or len(record.chunk_ns) < 2 or record.output_tokens is None:
        return None
    first = record.chunk_tokens[0] if record.chunk_tokens_known else 1
    after_first = record.output_tokens / max(record.choices, 1) - first
    if after_first <= 0 or first_ns is None or last_ns is None:
        return None
    return int((last_ns - first_ns) / after_first)


def _with_checks_ns(record: Record) -> int | None:
    """E2E and the safety checks that are noted in the record's detail."""
    e2e_ns = REQUEST_METRICS_NS["e2e"](record)
    noted = (orjson.loads(record.detail).get(SAFE_CHECK) or {}) if record.detail else {}
    checks_s = [step["s"] for step in noted.values() if "s" in step]
    return e2e_ns + round(sum(checks_s) * 1e9) if checks_s and e2e_ns is not None else None


# Request metric: whole nanoseconds (of _COUNTS: tokens) of one record; None where it has none.
REQUEST_METRICS_NS: dict[str, Callable[[Record], int | None]] = {
    "ttft": _between("send_ns", "first_token_ns"), "ttft_scheduled": _between("scheduled_ns", "first_token_ns"),
    "ttfa": _between("send_ns", "first_answer_ns"), "tpot": _tpot_ns,
    "e2e": _between("send_ns", "last_token_ns"), "e2e_scheduled": _between("scheduled_ns", "last_token_ns"),
    "e2e_with_checks": _with_checks_ns, "send_lateness": _between("scheduled_ns", "send_ns"),
    "input_tokens": lambda record: record.prompt_tokens if record.input_tokens is None else record.input_tokens,
    "output_tokens": lambda record: record.output_tokens,
}
_COUNTS = ("input_tokens", "output_tokens")
