"""What the audit judges beyond the totals of a stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fmload.metrics.definitions import NS, Bools, Floats, Ints, ratio
from fmload.model.outcome import SENT_AGAIN
from fmload.statistics.steady_state import Drift, drift, warmed_up_at
from fmload_analysis.records.words import Words
from fmload_analysis.stage.reuse import Reuse, reuse_of
from fmload_analysis.stage.stats import finite, nearest_rank
from fmload_analysis.stage.streams import Stall, lock_step
from fmload_analysis.stage.table import Table, in_blocks
from fmload_analysis.stage.timeline import Requests
from fmload_analysis.stage.windows import at_edges, inside

LATE_S = 0.01
TEMPLATE_PROMPTS = 10  # different ones of which another tokenizer would not make so many more tokens each


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the audit judges beyond the totals. Counts are of requests that started inside the window and succeeded."""

    ended: int = 0  # requests that were sent and ended inside the window, good, bad or given up
    residence_mean_s: float | None = None  # of those, from send to end
    edge_residence_s: float = 0.0  # the sum of those in flight at the window's beginning or end, each from send to end
    edge_tokens: float = 0.0  # and of their output tokens
    tokens_out_of_ended: float = 0.0
    ttft_after_e2e: int = 0
    tpot_mismatches: int = 0
    streams: int = 0  # streamed responses of more than two tokens
    buffered: int = 0  # of them: all tokens within 1 % of E2E, or in a single chunk
    over_max_tokens: int = 0
    with_max_tokens: int = 0
    echo_like: int = 0  # of the outputs over max_tokens: at least as long as their prompt
    echo_correlation: float | None = None  # of output and input lengths, where nearly all outputs are the longer
    prompt_tokens_compared: int = 0
    with_media: int = 0  # of the successful, those whose prompts hold images, sound or video
    media_uncounted: int = 0  # of those, the ones whose input the server does not count
    prompt_tokens_difference_mean: float | None = None  # server's count ÷ client's count − 1
    template_tokens: float | None = None  # server's count − client's count, where it is the same of every prompt
    tokens_source: Mapping[str, int] = field(default_factory=dict)
    finish_reason: Mapping[str, int] = field(default_factory=dict)
    finish_reasons: Mapping[str, int] = field(default_factory=dict)  # of all that started inside, failed ones too
    no_reason: int = 0  # streams that ended well, without a reason though others have one
    cut: int = 0  # answers that ended at a limit on their length
    cut_short: int = 0  # of them: with fewer tokens than were asked for
    cut_short_got_mean: float | None = None  # tokens that those have, and that were asked for
    cut_short_asked_mean: float | None = None
    choices: int = 1  # the most answers that a request has (`n`)
    turned_away: int = 0  # requests that the server refused because it was busy: 429, 503, 529 and AWS's throttling
    below_chunks: int = 0  # of them the server tells fewer tokens than chunks with text came
    remarks: Mapping[str, int] = field(default_factory=dict)  # what was strange about counts, by words
    sent_again: int = 0  # answers of a second sending
    tokens_known: int = 0  # streams of several chunks whose tokens are known, so that they have an ITL
    several_chunks: int = 0  # streams of several chunks
    late_firsts: int = 0  # streams whose first token came in a late read, with later ones
    decode_s_per_token: float | None = None  # Σ(t_L − t_1) ÷ Σ tokens, as llama.cpp defines its mean
    lock_step: float | None = None  # see `streams.lock_step`
    stalls: tuple[Stall, ...] = ()
    stamp: Mapping[str, int] = field(default_factory=dict)
    chunks: int = 0
    chunk_tokens: float = 0.0  # tokens, by the server's count where known, of the requests that have these chunks
    gaps: float = 0.0  # token-weighted
    gaps_censored: float = 0.0
    lag_max_p99_s: float | None = None
    send_lateness_p50_s: float | None = None
    send_lateness_p99_s: float | None = None
    due: int = 0  # requests of which there is a record, whatever became of them, that were due inside the window
    late: int = 0  # requests of the window that were sent more than LATE_S after they were due
    drift: Drift | None = None
    warmed_up_s: float | None = None
    reuse: Reuse = field(default_factory=Reuse)


def evidence_of(table: Mapping[str, Any], requests: Requests, window: int, *, chunks: int, gaps: float,
                gaps_censored: float, earlier_prompts: Ints, users: int | None = None,
               stalls: tuple[Stall, ...] = ()) -> Evidence:
    """The evidence in the columns of a stage's requests. `window` is in nanoseconds; `chunks` and gaps are counted
    over the requests that started inside it and succeeded; `earlier_prompts` as `reuse_of` takes them."""
    good = requests.succeeded
    return Evidence(
        **_residence(table, window), **_lateness(table, requests),
        chunks=chunks, chunk_tokens=float(np.nansum(table["output_tokens"][good])),
        gaps=gaps, gaps_censored=gaps_censored, lag_max_p99_s=nearest_rank(np.sort(finite(table["lag_max"], good)), 99),
        due=int(inside(table["due"] - np.nan_to_num(table["check_before"]) * NS, window).sum()),
        drift=drift(table["begun"][good], table["e2e"][good], window / 2),
        warmed_up_s=_warmed_up_s(table, good),
        **_summed(_shape_of_streams, table, good), **_token_counts(table, good), **_prompt_counts(table, good),
        **_told_counts(table, good),
        finish_reasons=_counted(table["finish_reason"][requests.in_window]),
        no_reason=_without_a_reason(table["finish_reason"][good]),
        turned_away=int((requests.in_window & ((table["outcome"] == "throttled") | (
            (table["outcome"] == "http_5xx") & np.isin(table["status"], BUSY)))).sum()),
        lock_step=lock_step(requests, users), stalls=stalls,
        tokens_source=_counted(table["tokens_source"][good]), finish_reason=_counted(table["finish_reason"][good]),
        stamp=_counted(table["stamp"][good]), reuse=reuse_of(table, requests.in_window, earlier_prompts))


def _residence(table: Mapping[str, Any], window: int) -> dict[str, Any]:
    """How long those were in flight that ended inside the window, and those at its edges; and their tokens."""
    ended = in_blocks(table, lambda some: inside(some["ended"], window) & np.isfinite(some["sent"]))
    at_edge = in_blocks(table, lambda some: at_edges(some["sent"], some["ended"], window))
    residence_s = in_blocks(table, lambda some: (some["ended"] - some["sent"]) / NS)
    return {"ended": int(ended.sum()), "residence_mean_s": float(residence_s[ended].mean()) if ended.any() else None,
            "edge_residence_s": float(residence_s[at_edge].sum()),
            "edge_tokens": float(table["delivered"][at_edge].sum()),
            "tokens_out_of_ended": float(table["delivered"][ended].sum())}


def _lateness(table: Mapping[str, Any], requests: Requests) -> dict[str, Any]:
    lateness = finite(table["send_lateness"], requests.in_window)
    late, ordered = int((lateness > LATE_S).sum()), np.sort(lateness)
    return {"late": late, "send_lateness_p50_s": nearest_rank(ordered, 50),
            "send_lateness_p99_s": nearest_rank(ordered, 99)}


BUSY = (503, 529)  # statuses of servers that have too much to do
LENGTH_REASONS = ("length", "limit", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded")


def _told_counts(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    """What the server told of its answers, against what came."""
    several = (table["streamed"] & (table["chunks"] > 1))[good]
    decode_s = float(np.nansum(in_blocks(table, lambda some: some["e2e"] - some["ttft"])[good][several]))
    return {**_remarks(table["remark"][good]), **_cut_by_length(table, good), **_choices(table, good),
            "several_chunks": int(several.sum()), "tokens_known": int((several & table["tokens_known"][good]).sum()),
            "late_firsts": int((table["streamed"] & table["first_late"])[good].sum()),
            "decode_s_per_token": ratio(decode_s, float(np.nansum(table["output_tokens"][good][several])))}


def _remarks(told: Words) -> dict[str, Any]:
    """What was strange about counts, and how many answers are of a second sending."""
    found, again = Counter[str](), 0
    for words, count in _counted(told).items():
        of_counts = words.removesuffix(SENT_AGAIN).removesuffix("; ")
        again += count if words.endswith(SENT_AGAIN) else 0
        found[of_counts] += count
    return {"remarks": {words: count for words, count in found.items() if words}, "sent_again": again}


def _cut_by_length(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    """Answers that ended at a limit, and those of them that are shorter than theirs."""
    reasons = table["finish_reason"][good]
    ended = reasons.isin([reason for reason in reasons.names if str(reason).lower() in LENGTH_REASONS])
    length, asked = table["tokens_of_choice"][good], table["max_output_tokens"][good]
    with np.errstate(invalid="ignore"):
        short = ended & (length < asked)
    return {"cut": int(ended.sum()), "cut_short": int(short.sum()),
            "cut_short_got_mean": float(length[short].mean()) if short.any() else None,
            "cut_short_asked_mean": float(asked[short].mean()) if short.any() else None}


def _choices(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    """Answers a request at most, and requests of which the server counts fewer tokens than chunks came."""
    made = table["output_tokens"][good]
    with np.errstate(invalid="ignore"):
        below = (table["tokens_source"][good] == "server") & (made < table["chunks"][good])
        return {"below_chunks": int(below.sum()),
                "choices": round(float(np.nanmax(made / table["tokens_of_choice"][good], initial=1.0)))}


def _counted(values: Words) -> dict[str, int]:
    return {value: count for value, count in values.counted().items() if value}


def _without_a_reason(reasons: Words) -> int:
    told = sum(_counted(reasons).values())
    return len(reasons) - told if told else 0


def _warmed_up_s(table: Mapping[str, Any], good: Bools) -> float | None:
    known = good & ~np.isnan(table["e2e"])
    return warmed_up_at(table["begun"][known] / NS, table["e2e"][known])


def _summed(counts: Callable[[Mapping[str, Any], Bools], dict[str, int]], table: Mapping[str, Any],
            good: Bools) -> dict[str, Any]:
    """Counts of some of the requests, added up over the blocks of a large table."""
    found: Counter[str] = Counter()
    begin = 0
    for block in table.blocks() if isinstance(table, Table) else (table,):
        end = begin + len(block["sent"])
        found.update(counts(block, good[begin:end]))
        begin = end
    return dict(found)


def _shape_of_streams(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    ttft, e2e, tpot, n = (table[name][good] for name in ("ttft", "e2e", "tpot", "tokens_of_choice"))
    rest = n - table["first_chunk"][good]
    with np.errstate(invalid="ignore"):
        mismatch = np.abs(ttft + tpot * rest - e2e) > 1e-6 + 1e-9 * e2e
        shown = n - table["hidden"][good]
        streams = table["streamed"][good] & (shown > 2)
        at_once = (table["chunks"][good] == 1) | (e2e - ttft < 0.01 * e2e * shown / n)
        return {"ttft_after_e2e": int((ttft > e2e).sum()), "tpot_mismatches": int(mismatch.sum()),
                "streams": int(streams.sum()), "buffered": int((streams & at_once).sum())}


def _token_counts(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    return {**_summed(_over_limits, table, good),
            "echo_correlation": _echo_correlation(table["input_tokens"][good], table["tokens_of_choice"][good])}


def _over_limits(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    given, made, limit = (table[name][good] for name in ("input_tokens", "tokens_of_choice", "max_output_tokens"))
    with np.errstate(invalid="ignore"):
        return {"over_max_tokens": int((made > limit).sum()), "with_max_tokens": int((~np.isnan(limit)).sum()),
                "echo_like": _echo_like(given, made, limit)}


def _prompt_counts(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    """The client's count of prompts against the server's."""
    of_text = np.isnan(table["media_bytes"][good])  # no tokenizer of ours counts images, sound and video
    counted, told = table["prompt_tokens"][good], table["server_input_tokens"][good]
    compared = ~np.isnan(told) & (counted > 0) & of_text
    uncounted = int((~of_text & np.isnan(told)).sum())
    told, counted = told[compared], counted[compared]
    return {"prompt_tokens_compared": len(told), "with_media": int((~of_text).sum()), "media_uncounted": uncounted,
            "prompt_tokens_difference_mean": float((told / counted - 1).mean()) if len(told) else None,
            "template_tokens": _same_of_all(told - counted, table["prompt"][good][compared])}


def _same_of_all(more: Floats, prompts: Ints) -> float | None:
    """What a chat template adds is the same for every prompt, what another tokenizer makes of them is not."""
    if len(np.unique(prompts)) < TEMPLATE_PROMPTS or np.ptp(more) != 0 or more[0] <= 0:
        return None
    return float(more[0])


def _echo_like(given: Floats, made: Floats, limit: Floats) -> int:
    """Requests whose output is at least as long as their prompt and longer than they asked for."""
    with np.errstate(invalid="ignore"):
        return int(((made >= given) & (made > limit)).sum())


def _echo_correlation(given: Floats, made: Floats) -> float | None:
    """Correlation of output and input lengths; None unless 19 of 20 outputs are at least as long as their prompts,
    and prompts differ in length."""
    known = ~np.isnan(given) & ~np.isnan(made)
    if not known.all():
        given, made = given[known], made[known]
    if len(given) < 20 or (made >= given).mean() < 0.95 or given.std() < 0.02 * given.mean() or not made.std():
        return None
    return float(np.corrcoef(given, made)[0, 1])
