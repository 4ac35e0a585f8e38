"""Little's law and the load: requests in flight = rate × latency, against what was offered."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fmload.base.units import format_duration
from fmload_analysis.published.checks.relation import Relation, product, told
from fmload_analysis.published.rows.published import Row

_FAR_ABOVE_MEAN = 3.0  # how many mean latencies the last request may take where no percentile tells


@dataclass(frozen=True, slots=True)
class Latency:
    """A row's E2E latency: how it was had, and by which share it may be off because of that."""

    seconds: float
    named: str
    columns: tuple[str, ...]
    uncertain: float = 0.0


def latency_of(row: Row) -> Latency | None:
    """The mean E2E latency; else TTFT + TPOT × (tokens − 1); else llmperf's ITL × tokens; else a median."""
    mean = row.value("e2e_mean")
    if mean:
        return Latency(mean, "E2E mean", ("e2e_mean",))
    parts = [row.value(name) for name in ("ttft_mean", "tpot_mean", "output_tokens_mean")]
    if all(parts):
        first, gap, tokens = (part or 0.0 for part in parts)
        return Latency(first + gap * (tokens - 1), "TTFT + TPOT × (tokens − 1)",
                       told(row, "ttft_mean", "tpot_mean", "output_tokens_mean"), 0.15)
    tokens = row.value("output_tokens_mean") or 0.0
    for name, called in (("itl_with_ttft_mean", "ITL mean"), ("itl_with_ttft_p50", "ITL p50")):
        gap = row.value(name) or 0.0
        if gap and tokens:
            return Latency(gap * tokens, f"{called} × output tokens", told(row, name, "output_tokens_mean"))
    median = row.value("e2e_p50")
    return Latency(median, "E2E p50", ("e2e_p50",)) if median else None


def in_flight(row: Row) -> float | None:
    """Requests a second × latency; None where the row lacks one of them."""
    per_minute, latency = row.value("transactions_per_minute"), latency_of(row)
    return per_minute / 60 * latency.seconds if per_minute and latency else None


def floor_of(row: Row) -> float | None:
    """How many at least are in flight on average in a closed loop: the last requests find no successors, so that
    c × (D − longest) ÷ D is enough; None where requests may wait for a schedule, or the duration is not known."""
    users = row.value("concurrency")
    if not users or row.value("offered_per_s"):
        return None
    seconds = duration_of(row)
    longest = longest_of(row)
    if not seconds or longest is None:
        return users
    idle = max(0.0, seconds - (row.value("first_to_last_s") or seconds))
    share = max(0.0, 1 - (longest + idle) / seconds)
    errors = row.value("error_rate") or 0.0
    started = row.value("completed")
    floor = users * share * (1 - min(errors, 1.0))
    return min(floor, float(started)) if started and started < users else floor


def duration_of(row: Row) -> float | None:
    """The duration; else requests ÷ rate."""
    seconds, count, rate = (row.value(name) for name in ("duration_s", "completed", "transactions_per_minute"))
    if seconds and seconds > 0:
        return seconds
    return count / rate * 60 if count and rate else None


def longest_of(row: Row) -> float | None:
    """The longest E2E latency, or the highest percentile told, or three times the mean."""
    for stat in ("max", "p99.9", "p99", "p95", "p90"):
        value = row.value(f"e2e_{stat}")
        if value:
            return value
    latency = latency_of(row)
    return _FAR_ABOVE_MEAN * latency.seconds if latency else None


def _closed_off(row: Row) -> float | None:
    users, flying, latency = row.value("concurrency"), in_flight(row), latency_of(row)
    if not users or not flying or latency is None:
        return None
    if flying > users * (1 + latency.uncertain):
        return flying / (users * (1 + latency.uncertain)) - 1
    floor = floor_of(row)
    if floor and flying < floor * (1 - latency.uncertain):
        return flying / (floor * (1 - latency.uncertain)) - 1
    return 0.0


def _closed_needs(row: Row) -> tuple[str, ...]:
    latency = latency_of(row)
    columns = told(row, "concurrency", "transactions_per_minute")
    return tuple(dict.fromkeys((*columns, *latency.columns))) if columns and latency else ()


def _closed_sentence(row: Row) -> str:
    latency, flying, users = latency_of(row), in_flight(row) or 0.0, row.value("concurrency") or 0.0
    floor, off = floor_of(row), _closed_off(row) or 0.0
    sentence = (f"{row.value('transactions_per_minute'):g} transactions a minute of "
                f"{format_duration(latency.seconds)} ({latency.named}) are {flying:.3g} requests in flight; "
                if latency else "") + f"{users:g} were offered ({flying / users - 1:+.0%})"
    if off < 0:
        return f"{sentence}: the load was not on."
    if off > 0:
        return f"{sentence}: more than can be."
    if floor and floor < users * 0.98 and flying < users:
        return f"{sentence}; a run so short holds {floor:.3g} at least, for its last requests have no successors."
    return sentence + "."


def _closed_exact(row: Row) -> float | None:
    users, flying = row.value("concurrency"), in_flight(row)
    return flying / users - 1 if users and flying else None


CLOSED = Relation("concurrency = throughput × latency", 1, _closed_needs, _closed_off, _closed_sentence,
                  exact=_closed_exact, gives=("concurrency",))
_TOLD = product("told concurrency = throughput × latency", 1, {
    "transactions_per_minute": 1, "e2e_mean": 1, "achieved_concurrency": -1}, 1 / 60, warn=0.05, fail=0.2)


def _told_off(row: Row) -> float | None:
    """Failed and unfinished requests are in flight, too, and in no latency: their share is allowed."""
    off = _TOLD.off(row)
    good = row.value("completed")
    other = (row.value("errors") or 0.0) + (row.value("incomplete") or 0.0)
    allowed = 3 * other / (good + other) if good and other else 0.0
    return None if off is None else math.copysign(max(0.0, abs(off) - allowed), off)


TOLD = Relation(_TOLD.name, 1, _TOLD.needs, _told_off, _TOLD.sentence)


def _offered_off(row: Row) -> float | None:
    """Arrivals scatter by 1 ÷ √n: more answers than offered requests are a contradiction."""
    offered, rate = row.value("offered_per_s"), row.value("transactions_per_minute")
    return None if not offered or not rate else max(0.0, rate / 60 / (offered * (1 + _scatter(row))) - 1)


def _scatter(row: Row) -> float:
    sent = row.value("requests") or row.value("completed")
    return 3 / math.sqrt(sent * max(row.value("burstiness") or 1.0, 1e-9)) if sent and sent > 0 else 0.05


def _sentence(row: Row) -> str:
    return (f"{row.value('offered_per_s') or 0.0:g} requests/s were offered, "
            f"{(row.value('transactions_per_minute') or 0.0) / 60:.4g} answered")


OFFERED = Relation("answered ≤ offered rate", 4, lambda row: told(row, "offered_per_s", "transactions_per_minute"),
                   _offered_off, lambda row: _sentence(row) + (": more than were sent." if _offered_off(row) else "."),
                   gives=())


def _kept_up_off(row: Row) -> float | None:
    """The last answer comes after the last arrival; beyond that, and beyond failures, someone did not keep up."""
    offered, rate = row.value("offered_per_s"), row.value("transactions_per_minute")
    sent = row.value("requests") or row.value("completed")
    if not offered or not rate or row.value("concurrency"):
        return None
    tail = (longest_of(row) or 0.0) * offered / sent if sent else 0.0
    failed = min(row.value("error_rate") or 0.0, 1.0)
    lowest = offered * (1 - failed) * (1 - min(_scatter(row), 0.9)) / (1 + tail)
    return min(0.0, rate / 60 / lowest - 1) if lowest else None


KEPT_UP = Relation("the offered rate was answered", 4,
                   lambda row: () if _kept_up_off(row) is None else told(
                       row, "offered_per_s", "transactions_per_minute"),
                   _kept_up_off, lambda row: _sentence(row) + (
                       ": the client or the server did not keep up." if _kept_up_off(row) else "."),
                   finding_only=True)
_SENT = product("sent = offered rate", 4, {"offered_per_s": 1, "sent_per_s": -1}, warn=0.05, fail=0.2)


def _sent_off(row: Row) -> float | None:
    """So many random arrivals take their time with a scatter of 1 ÷ √n: three times that is allowed."""
    off = _SENT.off(row)
    return None if off is None else math.copysign(max(0.0, abs(off) - _scatter(row)), off)


SENT = replace(_SENT, off=_sent_off, finding_only=True)
SENDING = product("requests ÷ time of sending = rate of sending", 4, {"requests": 1, "sending_s": -1, "sent_per_s": -1})


def _span_off(row: Row) -> float | None:
    """What was answered over its rate is the time of sending and at most the longest request more."""
    count, rate, sending, longest = (row.value(name) for name in (
        "completed", "transactions_per_minute", "sending_s", "e2e_max"))
    if not count or not rate or not sending or longest is None or row.value("errors"):
        return None
    seconds = count / rate * 60
    if seconds < sending:
        return seconds / sending - 1
    return max(0.0, seconds / (sending + longest) - 1)


SPAN = Relation("requests ÷ rate = time of sending + the last answer", 4,
                lambda row: () if _span_off(row) is None else told(
                    row, "completed", "transactions_per_minute", "sending_s", "e2e_max"), _span_off,
                lambda row: f"{_span_off(row) or 0.0:+.1%} beyond {row.value('sending_s'):.4g} s of sending and "
                            f"{row.value('e2e_max'):.4g} s of the longest request.", 0.03, 0.1, gives=())


def _fits(row: Row) -> float | None:
    longest, seconds = row.value("e2e_max") or row.value("e2e_p50"), row.value("duration_s")
    return None if not longest or not seconds else max(0.0, longest / seconds - 1)


FITS = Relation("E2E ≤ duration", 3,
                lambda row: told(row, "duration_s", "e2e_max") or told(row, "duration_s", "e2e_p50"),
                _fits, lambda row: f"The run took {row.value('duration_s'):.6g} s, a request up to "
                                   f"{row.value('e2e_max') or row.value('e2e_p50'):.6g} s.", 0.05, 0.2, gives=())

def _held_off(row: Row) -> float | None:
    """All latencies together are at most the users' time from the first request to the last answer."""
    users, count, mean, span = (row.value(name) for name in (
        "concurrency", "completed", "e2e_mean", "first_to_last_s"))
    if not users or not count or not mean or not span:
        return None
    return max(0.0, count * mean / (users * span) - 1)


HELD = Relation("requests × latency ≤ concurrency × time from the first to the last", 1,
                lambda row: () if _held_off(row) is None else told(
                    row, "concurrency", "completed", "e2e_mean", "first_to_last_s"), _held_off,
                lambda row: f"{row.value('completed'):g} requests of {format_duration(row.value('e2e_mean') or 0.0)} "
                            f"in {format_duration(row.value('first_to_last_s') or 0.0)}, {row.value('concurrency'):g} "
                            f"at a time: {_held_off(row) or 0.0:+.1%} beyond what fits.", 0.02, 0.05, gives=())

RELATIONS = (CLOSED, TOLD, HELD, OFFERED, KEPT_UP, SENT, SENDING, SPAN, FITS)
