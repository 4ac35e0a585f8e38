"""Output that is no output: a prompt that was echoed. Needs evidence of the tool, not lengths alone."""

from __future__ import annotations

import re

from fmload_analysis.audit.facts import PASS, WARN
from fmload_analysis.published.rows.published import Correction, Published, Row
from fmload_analysis.verdict.table import Check

_ECHOED = 1.15  # a completion up to so many times as long as its prompt may be the prompt and a little more
_FULL_TEXT = re.compile(r"return_full_text[\"']?\s*:\s*[\"']?(true|false)", re.IGNORECASE)
_LIMIT = re.compile(r"max_new_tokens[\"']?\s*:\s*(\d+)")


def echo(row: Row, published: Published) -> tuple[Check, list[Correction]] | None:
    """The finding where the tool is known to return prompts with their answers; None where nothing is known of it."""
    made, given = row.value("output_tokens_mean"), row.value("input_tokens_mean")
    if not made or given is None:
        return None
    evidence = _evidence(row, published, made)
    if evidence is None:
        return None
    figures = {"mean": made, "prompt": given}
    if not evidence or not given < made <= _ECHOED * given:
        return Check(2, "output is output", PASS, f"{made:g} output tokens on average.", figures), []
    sentence = (f"{made:g} output tokens on average: {given:g} prompt tokens and {made - given:g} more; the prompt was "
                f"likely echoed: {evidence}. If it was not, {made:g} stands.")
    return Check(2, "output is output", WARN, sentence, figures), _without_echo(row, made, given)


def _evidence(row: Row, published: Published, made: float) -> str | None:
    """What speaks for an echo; empty where something speaks against it; None where the tool is not known to do so."""
    if published.tool != "fmbench":
        return None
    told = {found.lower() for found in _FULL_TEXT.findall(published.text)}
    if "true" in told:
        return "the run file says return_full_text: true"
    limits = [int(limit) for limit in _LIMIT.findall(published.text)]
    if limits and made > max(limits):
        return f"the run file says max_new_tokens: {max(limits)}"
    if told or not (row.instance_type or "").startswith("ml."):
        return ""
    return "a SageMaker endpoint of TGI returns the prompt unless return_full_text is false, and FMBench counts it"


def _without_echo(row: Row, made: float, given: float) -> list[Correction]:
    reason = "output less the echoed prompt"
    found = [Correction("output_tokens_mean", made, made - given, reason)]
    throughput = row.value("output_tokens_per_s")
    if throughput:
        found.append(Correction("output_tokens_per_s", throughput, throughput * (made - given) / made, reason))
    return found


def time_per_token(row: Row, published: Published) -> tuple[Check, list[Correction]] | None:
    """An inter-token latency whose first gap is TTFT is E2E ÷ tokens: queueing leaks into it."""
    stat = next((stat for stat in ("p50", "mean") if row.value(f"itl_with_ttft_{stat}") and row.value(f"ttft_{stat}")),
                "p50")
    itl, first, made = (row.value(name) for name in (f"itl_with_ttft_{stat}", f"ttft_{stat}", "output_tokens_mean"))
    if not itl or not first or not made or made <= 1:
        return None
    tpot = (itl * made - first) / (made - 1)
    if tpot <= 0:
        return None
    share = itl / tpot - 1
    result = WARN if abs(share) > 0.05 else PASS
    return Check(3, "ITL is without TTFT", result,
                 f"The published ITL of {itl * 1e3:.4g} ms counts TTFT as a gap; without it a token takes "
                 f"{tpot * 1e3:.4g} ms ({share:+.0%}).", {"published_s": itl, "tpot_s": tpot}), (
        [] if result == PASS else
        [Correction(f"tpot_{stat}", itl, tpot, "(E2E − TTFT) ÷ (tokens − 1), from the published figures")])


def by_chunk(row: Row, published: Published) -> tuple[Check, list[Correction]] | None:
    """A time per output token that is one per chunk."""
    each, last, first, made = (row.value(name) for name in (
        "chunk_tpot_mean", "e2e_mean", "ttft_mean", "output_tokens_mean"))
    if not each or not last or first is None or not made or made <= 1:
        return None
    tpot = (last - first) / (made - 1)
    return Check(3, "TPOT is by tokens", WARN,
                 f"The published TPOT of {each * 1e3:.4g} ms is the gap between chunks; by tokens it is "
                 f"{tpot * 1e3:.4g} ms.", {"published_s": each, "tpot_s": tpot}), [
        Correction("tpot_mean", each, tpot, "(E2E − TTFT) ÷ (tokens − 1); the published one is the gap between chunks")]


def equal_percentiles(row: Row, published: Published) -> tuple[Check, list[Correction]] | None:
    """p50 = p95 = p99 is what percentiles of one sample look like."""
    found = [row.figures.get(f"e2e_{stat}") for stat in ("p50", "p95", "p99")]
    if any(value is None for value in found):
        return None
    same = len(set(found)) == 1
    return Check(6, "percentiles differ", WARN if same else PASS,
                 f"E2E p50, p95 and p99 are {', '.join(f'{value:g}' for value in found)} s"
                 + (": percentiles of single samples, averaged." if same else "."),
                 {"p50": found[0], "p95": found[1], "p99": found[2]}), []


def longest_answer(row: Row, published: Published) -> tuple[Check, list[Correction]] | None:
    """No answer is longer than max_tokens."""
    limit = row.value("max_output_tokens")
    longest = row.value("output_tokens_max") or row.value("output_tokens_mean")
    if not limit or not longest:
        return None
    over = longest > limit * 1.02
    return Check(2, "output ≤ max_tokens", "FAIL" if over else PASS,
                 f"{longest:g} output tokens against a limit of {limit:g}.", {"longest": longest, "limit": limit}), []
