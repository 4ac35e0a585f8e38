"""Counts, totals and rates of one row: each is worked out from two others."""

from __future__ import annotations

from fmload_analysis.published.checks.relation import Relation, product, told, total
from fmload_analysis.published.rows.published import Row

RATE = product("requests ÷ duration = rate", 2, {"completed": 1, "transactions_per_minute": -1, "duration_s": -1}, 60.0)
OUTPUT = product("output tokens ÷ duration = output tokens/s", 2,
                 {"output_tokens": 1, "output_tokens_per_s": -1, "duration_s": -1})
INPUT = product("input tokens ÷ duration = input tokens/s", 2,
                {"input_tokens": 1, "input_tokens_per_s": -1, "duration_s": -1})
OUTPUT_MEAN = product("requests × mean output = output tokens", 2,
                      {"completed": 1, "output_tokens_mean": 1, "output_tokens": -1})
INPUT_MEAN = product("requests × mean input = input tokens", 2,
                     {"completed": 1, "input_tokens_mean": 1, "input_tokens": -1})
TOKENS = product("token throughput = requests × tokens", 2,
                 {"transactions_per_minute": 1, "output_tokens_mean": 1, "output_tokens_per_s": -1}, 1 / 60)
INPUT_RATE = product("input throughput = requests × tokens", 2,
                     {"transactions_per_minute": 1, "input_tokens_mean": 1, "input_tokens_per_s": -1}, 1 / 60)
BOTH_RATES = total("input + output = total tokens/s", 2, "total_tokens_per_s",
                   {"input_tokens_per_s": 1, "output_tokens_per_s": 1})
BOTH = total("input + output = total tokens", 2, "total_tokens", {"input_tokens": 1, "output_tokens": 1})
BOTH_MEANS = total("input + output = total tokens a request", 2, "total_tokens_mean",
                   {"input_tokens_mean": 1, "output_tokens_mean": 1})
COUNTED = total("requests = completed + failed", 6, "requests", {"completed": 1, "errors": 1})
MADE = total("requests = completed + failed + unfinished", 6, "requests_made",
             {"completed": 1, "errors": 1, "incomplete": 1})


def _share_off(row: Row) -> float | None:
    failed, sent, share = (row.value(name) for name in ("errors", "requests", "error_rate"))
    if failed is None or not sent or share is None:
        return None
    return (failed / sent - share) / max(abs(share), abs(failed / sent), 1e-12)


SHARE = Relation("failed ÷ requests = error rate", 6,
                 lambda row: told(row, "errors", "requests", "error_rate") if "error_rate" in row.figures else (),
                 _share_off, lambda row: f"{row.value('errors'):g} of {row.value('requests'):g} failed; an error rate "
                                         f"of {row.value('error_rate'):.2%} is told.", 0.02, 0.1)
ACCELERATOR = product("tokens/s ÷ accelerators", 2, {
    "output_tokens_per_s": 1, "accelerators": -1, "output_tokens_per_s_per_accelerator": -1})
ACCELERATORS = product("total tokens/s ÷ accelerators", 2, {
    "total_tokens_per_s": 1, "accelerators": -1, "total_tokens_per_s_per_accelerator": -1})


def _over_duration(row: Row) -> float | None:
    values = [row.value(name) for name in ("input_tokens", "output_tokens", "total_tokens_per_s", "duration_s")]
    if any(value is None for value in values) or not values[2] or not values[3]:
        return None
    given, made, rate, seconds = (value or 0.0 for value in values)
    return (given + made) / (rate * seconds) - 1


BOTH_TOTAL_RATE = Relation(
    "all tokens ÷ duration = total tokens/s", 2,
    lambda row: told(row, "input_tokens", "output_tokens", "total_tokens_per_s", "duration_s"), _over_duration,
    lambda row: f"input and output tokens over the duration differ from {row.value('total_tokens_per_s') or 0:.6g} "
                f"tokens/s by {-(_over_duration(row) or 0.0):+.1%}.", 0.01, 0.05)


def _exceeds(part: str, whole: str, factor: float = 1.0) -> Relation:
    """A part that cannot be larger than the whole."""

    def off(row: Row) -> float | None:
        small, large = row.value(part), row.value(whole)
        if small is None or large is None:
            return None
        return max(0.0, small * factor / large - 1) if large > 0 else float(small > 0)

    return Relation(
        f"{part} ≤ {whole}", 6, lambda row: told(row, part, whole) if len(told(row, part, whole)) > 1 else (), off,
        lambda row: f"{part} {(row.value(part) or 0.0) * factor:.6g}, {whole} {row.value(whole):.6g}.", 0.01, 0.05,
        gives=())


GOODPUT = _exceeds("goodput_per_s", "transactions_per_minute", 60.0)
COMPLETED = _exceeds("completed", "requests")
SPAN = _exceeds("first_to_last_s", "duration_s")
PARTS = tuple(_exceeds(f"{part}_tokens_per_s{per}", f"total_tokens_per_s{per}")
              for part in ("input", "output") for per in ("", "_per_accelerator"))

RELATIONS = (RATE, OUTPUT, INPUT, OUTPUT_MEAN, INPUT_MEAN, TOKENS, INPUT_RATE, BOTH_RATES, BOTH, BOTH_MEANS,
             BOTH_TOTAL_RATE, COUNTED, MADE, SHARE, ACCELERATOR, ACCELERATORS, GOODPUT, COMPLETED, SPAN, *PARTS)
