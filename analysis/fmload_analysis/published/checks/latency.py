"""Latencies of one row: TTFT ≤ E2E, TTFT + TPOT × (tokens − 1) = E2E, speeds of a user and of a token."""

from __future__ import annotations

import math

from fmload.base.units import format_duration
from fmload_analysis.published.checks.relation import Relation, product, told
from fmload_analysis.published.rows.published import Row

_STATS = ("min", "mean", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p99.9", "max")
_LONGEST_TAIL = 1 / 3


def _pairs(row: Row) -> list[tuple[str, float, float]]:
    pairs = ((stat, row.value(f"ttft_{stat}"), row.value(f"e2e_{stat}")) for stat in _STATS)
    return [(stat, first, last) for stat, first, last in pairs if first is not None and last is not None]


def _first_off(row: Row) -> float | None:
    pairs = _pairs(row)
    return max((first / last - 1 if last > 0 else 1.0 for _, first, last in pairs if first > last), default=0.0) if (
        pairs) else None


def _first_needs(row: Row) -> tuple[str, ...]:
    pairs = _pairs(row)
    wrong = [stat for stat, first, last in pairs if first > last] or [stat for stat, *_ in pairs][:1]
    return tuple(name for stat in wrong for name in (f"ttft_{stat}", f"e2e_{stat}"))


def _first_sentence(row: Row) -> str:
    pairs = _pairs(row)
    stat, first, last = next((pair for pair in pairs if pair[1] > pair[2]), pairs[0])
    return f"TTFT {stat} {format_duration(first)}, E2E {stat} {format_duration(last)}."


FIRST = Relation("TTFT ≤ E2E", 3, _first_needs, _first_off, _first_sentence, 0.0, 0.0, gives=())


def lengths_fixed(row: Row) -> bool:
    """Whether all answers are known to be of one length."""
    spread, low, high = (row.value(f"output_tokens_{stat}") for stat in ("std", "min", "max"))
    mean = row.value("output_tokens_mean") or 0.0
    if spread is not None:
        return spread <= 0.02 * mean
    return low is not None and high is not None and high - low <= 0.02 * mean


def _covariance(row: Row) -> float:
    """By how much mean(TPOT × tokens) may differ from mean TPOT × mean tokens: the product of their spreads, in
    seconds. Where a spread is not told, lengths are taken to scatter by their mean, TPOT by a quarter of its own."""
    tokens, gap = row.value("output_tokens_mean") or 0.0, row.value("tpot_mean") or 0.0
    if lengths_fixed(row):
        return 0.0
    of_tokens = row.value("output_tokens_std")
    of_gap = row.value("tpot_std")
    return (tokens if of_tokens is None else of_tokens) * (gap / 4 if of_gap is None else of_gap)


def _sum_exact(row: Row) -> float | None:
    if row.value("tpot_left_out"):  # the means are of different requests
        return None
    values = [row.value(name) for name in ("e2e_mean", "ttft_mean", "tpot_mean", "output_tokens_mean")]
    if any(value is None for value in values):
        return None
    last, first, gap, tokens = (value or 0.0 for value in values)
    return (first + gap * (tokens - 1)) / last - 1 if last > 0 and tokens > 1 else None


def _less(off: float | None, allowed: float) -> float | None:
    """A signed difference without what is allowed of it."""
    return None if off is None else math.copysign(max(0.0, abs(off) - allowed), off)


def _tail(row: Row) -> float:
    """The share of E2E after the last token, where a tool (GuideLLM) tells the time to that, too, as a time per token:
    a busy client sees the end of a stream late. A third at most."""
    last, each, tokens = (row.value(name) for name in ("e2e_mean", "tpot_with_ttft_mean", "output_tokens_mean"))
    return min(max(1 - each * tokens / last, 0.0), _LONGEST_TAIL) if last and each and tokens else 0.0


def _sum_off(row: Row) -> float | None:
    last, exact = row.value("e2e_mean"), _sum_exact(row)
    if not last or exact is None:
        return None
    return _less(exact, _covariance(row) / last + (_tail(row) if exact < 0 else 0.0))


def _sum_sentence(row: Row) -> str:
    last, first, gap, tokens = (row.value(name) or 0.0 for name in (
        "e2e_mean", "ttft_mean", "tpot_mean", "output_tokens_mean"))
    return (f"{format_duration(first)} + {format_duration(gap)} × ({tokens:.4g} − 1) = "
            f"{format_duration(first + gap * (tokens - 1))}; E2E {format_duration(last)}.")


SUM = Relation("TTFT + TPOT × (tokens − 1) = E2E", 3,
               lambda row: told(row, "e2e_mean", "ttft_mean", "tpot_mean", "output_tokens_mean"), _sum_off,
               _sum_sentence, exact=_sum_exact)


def _per_token_exact(row: Row) -> float | None:
    last, each, tokens = (row.value(name) for name in ("e2e_mean", "normalized_tpot_mean", "output_tokens_mean"))
    return each * tokens / last - 1 if last and each and tokens else None


def _per_token_off(row: Row) -> float | None:
    """A mean of quotients is not the quotient of the means: it is larger, by the spread of the lengths."""
    exact, tokens = _per_token_exact(row), row.value("output_tokens_mean") or 1.0
    spread = row.value("output_tokens_std")
    share = spread / tokens if spread is not None else _range(row)
    return _less(exact, share)


def _range(row: Row) -> float:
    """The spread of the lengths as a share, from p10 and p90 where they are told."""
    low, high = row.value("output_tokens_p10"), row.value("output_tokens_p90")
    tokens = row.value("output_tokens_mean") or 1.0
    return 0.5 if low is None or high is None else max(0.1, (high - low) / tokens)


PER_TOKEN = Relation("E2E ÷ tokens = E2E per token", 3,
                     lambda row: told(row, "e2e_mean", "normalized_tpot_mean", "output_tokens_mean"), _per_token_off,
                     lambda row: f"E2E per token × tokens is {_per_token_exact(row) or 0.0:+.1%} from E2E.",
                     exact=_per_token_exact)


def _median_off(row: Row) -> float | None:
    if row.value("e2e_mean") is not None and row.value("tpot_mean") is not None:
        return None
    values = [row.value(name) for name in ("e2e_p50", "ttft_p50", "tpot_p50", "output_tokens_mean")]
    if any(not value for value in values):
        return None
    last, first, gap, tokens = (value or 0.0 for value in values)
    return (first + gap * (tokens - 1)) / last - 1


SUM_OF_MEDIANS = Relation(
    "TTFT + TPOT × (tokens − 1) = E2E, by medians", 3,
    lambda row: () if _median_off(row) is None else told(row, "e2e_p50", "ttft_p50", "tpot_p50", "output_tokens_mean"),
    _median_off, lambda row: f"By the medians the answer ends {_median_off(row) or 0.0:+.0%} from E2E.", 0.5, 1.0)


def _gap_off(row: Row) -> float | None:
    values = [row.value(name) for name in ("e2e_mean", "ttft_mean", "icl_mean", "output_tokens_mean")]
    if any(not value for value in values):
        return None
    last, first, gap, tokens = (value or 0.0 for value in values)
    return (first + gap * (tokens - 1)) / last - 1


GAPS = Relation("TTFT + ICL × (tokens − 1) = E2E", 3,
                lambda row: told(row, "e2e_mean", "ttft_mean", "icl_mean", "output_tokens_mean"), _gap_off,
                lambda row: f"Chunks of one token each would end {_gap_off(row) or 0.0:+.1%} from E2E.", 0.02, 0.02,
                supports_only=True)

USER_SPEED = product("tokens/s of a user × TPOT = 1, by medians", 3, {"user_tokens_per_s_p50": 1, "tpot_p50": 1},
                     warn=0.03, fail=0.1)


def _middle(row: Row) -> str:
    """The length that goes with the medians."""
    return "output_tokens_p50" if "output_tokens_p50" in row.figures else "output_tokens_mean"


def _itl_off(row: Row) -> float | None:
    """llmperf: an inter-token latency whose first gap is TTFT is E2E ÷ tokens."""
    gap, tokens, last = (row.value(name) for name in ("itl_with_ttft_p50", _middle(row), "e2e_p50"))
    return gap * tokens / last - 1 if gap and tokens and last else None


ITL_OF_E2E = Relation("ITL × tokens = E2E, by medians", 3,
                      lambda row: told(row, "itl_with_ttft_p50", _middle(row), "e2e_p50"), _itl_off,
                      lambda row: f"ITL p50 × output tokens is {_itl_off(row) or 0.0:+.1%} from E2E p50.", 0.4, 0.8)

RELATIONS = (FIRST, SUM, PER_TOKEN, SUM_OF_MEDIANS, GAPS, USER_SPEED, ITL_OF_E2E)
