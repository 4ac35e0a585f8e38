"""Token counts that must agree: by arrival, by request, by the server, by the tokenizer."""

from __future__ import annotations

from collections.abc import Mapping

from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, NOT_APPLICABLE, PASS, WARN, Facts, graded, relative
from fmload_analysis.stage.telemetry import AT_END
from fmload_analysis.verdict.table import Check

_SOURCES = {"chunks": "the number of chunks", "server": "the server", "tokenizer": "the model's tokenizer",
            "approximate": "a tokenizer that is not the model's"}


def token_sums(facts: Facts) -> Check | None:
    """Tokens of the requests that ended ÷ window against tokens by arrival, within what is under way at the edges."""
    evidence, totals = facts.summary.evidence, facts.summary.totals
    by_arrival = facts.value("output_tokens_per_s")
    if not evidence.ended or by_arrival is None or not totals.tokens_out:
        return None
    by_request = evidence.tokens_out_of_ended / totals.window_s
    allowed = evidence.edge_tokens / totals.window_s + 0.02 * by_request
    result = PASS if abs(by_arrival - by_request) <= allowed else FAIL
    return Check(2, "tokens by arrival = tokens by request", result,
                 f"{by_arrival:.4g} tokens/s arrived; the requests that ended make {by_request:.4g} tokens/s, "
                 f"and those under way at the window's edges allow ±{allowed:.2g}.",
                 {"by_arrival_per_s": by_arrival, "by_request_per_s": by_request, "allowed_per_s": allowed})


def token_counts(facts: Facts) -> Check | None:
    """The server's count of prompt tokens against the client's tokenizer."""
    evidence = facts.summary.evidence
    difference = evidence.prompt_tokens_difference_mean
    if evidence.media_uncounted:
        return Check(2, "server's token count = tokenizer's", WARN,
                     f"{evidence.media_uncounted} prompts hold images, sound or video, and the server does not count "
                     "their tokens, which no tokenizer here can: their input is not known, and a price by the token is "
                     "too low.", {"uncounted": evidence.media_uncounted})
    if difference is None:
        return _of_media(evidence.with_media)
    template = evidence.template_tokens
    result = PASS if abs(difference) <= FAR or template is not None else WARN
    why = (f": {template:.0f} more with every one, as a chat template adds." if template is not None
           else "." if result == PASS else ": another tokenizer, or a template.")
    return Check(2, "server's token count = tokenizer's", result,
                 f"Over {evidence.prompt_tokens_compared} requests the server counts {difference:+.1%} prompt tokens "
                 f"against the client's tokenizer{why}",
                 {"difference": difference, "requests": evidence.prompt_tokens_compared})


def _of_media(requests: int) -> Check | None:
    if not requests:
        return None
    return Check(2, "server's token count = tokenizer's", NOT_APPLICABLE,
                 f"{requests} prompts hold images, sound or video, whose tokens no tokenizer here counts: input tokens "
                 "are the server's word alone.", {"requests": requests})


def counted_texts(facts: Facts) -> Check | None:
    """The server's count of output tokens against the model's own tokenizer, over answers that were kept."""
    answers, told = facts.compared.get("answers", 0), facts.compared.get("server", 0)
    if not answers or not told:
        return _kept_in_vain(facts.compared.get("not_compared") or {})
    ours = facts.compared["tokenizer"]
    difference = relative(told, ours)
    result = PASS if abs(difference) <= CLOSE else WARN if abs(difference) <= FAR else FAIL
    return Check(2, "server's output count = tokenizer's", result,
                 f"Over {answers} kept answers the server counts {told:,} output tokens, the model's tokenizer "
                 f"{ours:,} ({difference:+.1%})" + ("." if result == PASS else
                 ": special tokens, hidden reasoning, or a server that counts wrongly."),
                 {"answers": answers, "server": told, "tokenizer": ours})


def _kept_in_vain(reasons: Mapping[str, int]) -> Check | None:
    """Why answers that were kept were not compared; None where none were kept."""
    if not reasons:
        return None
    why = ", ".join(f"{words} ({count})" for words, count in sorted(reasons.items()))
    return Check(2, "server's output count = tokenizer's", NOT_APPLICABLE,
                 f"Not checked: {sum(reasons.values())} answers were kept, and {why}.", dict(reasons))


def token_source(facts: Facts) -> Check | None:
    """Where the counts come from: chunks are the last resort."""
    sources = facts.summary.evidence.tokens_source
    if not sources:
        return None
    rough = sources.get("chunks", 0) + sources.get("approximate", 0)
    named = ", ".join(f"{count} by {_SOURCES.get(name, name)}"
                      for name, count in sorted(sources.items()))
    return Check(2, "source of the token counts", WARN if rough else PASS, f"Output tokens were counted: {named}."
                 + (" Figures and prices by tokens are approximate." if rough else ""),
                 dict(sources))


def told_counts(facts: Facts) -> Check | None:
    """A count that the server tells is a claim: a chunk with text holds at least one token, so fewer tokens than chunks
    are wrong. What was strange about a count and set aside or put right is told in the reader's words."""
    evidence = facts.summary.evidence
    told = evidence.tokens_source.get("server", 0)
    if not told and not evidence.remarks:
        return None
    text = f"Of {told} answers that the server counted, {evidence.below_chunks} have fewer tokens than chunks with text"
    if evidence.below_chunks:
        text += ": every figure by tokens is too low"
    odd = sum(evidence.remarks.values())
    if odd:
        words, count = max(evidence.remarks.items(), key=lambda item: item[1])
        text += f"; {odd} counts were strange: {words} ({count})"
    return Check(2, "counts can be true", FAIL if evidence.below_chunks else WARN if odd else PASS, f"{text}.",
                 {"counted": told, "below_chunks": evidence.below_chunks, "remarks": dict(evidence.remarks)})


def output_limit(facts: Facts) -> Check | None:
    """No output is longer than `max_tokens`; one that is, and is as long as its prompt, is likely an echo of it."""
    evidence = facts.summary.evidence
    if not evidence.with_max_tokens:
        return None
    over, echo = evidence.over_max_tokens, evidence.echo_like
    text = f"{over} of {evidence.with_max_tokens} outputs are longer than max_tokens"
    if echo:
        text += f", {echo} of them at least as long as their prompt: the prompt may have been echoed"
    return Check(2, "output ≤ max_tokens", FAIL if over else PASS, text + ".",
                 {"over": over, "of": evidence.with_max_tokens, "echo_like": echo})


def output_lengths(facts: Facts) -> Check | None:
    """Answers exactly as long as asked, where the run file wants that."""
    found = facts.summary.output_lengths
    if found is None or not found.exact:
        return None
    share = found.mismatched / found.n
    return Check(2, "output as long as asked", graded(share, 0, CLOSE),
                 f"Of {found.n} outputs {found.shorter} are shorter and {found.longer} longer than the exact length "
                 f"asked for; on average {found.got_mean:.4g} tokens came for {found.asked_mean:.4g} asked"
                 + ("." if not found.mismatched else ": the server does not heed `exact_output_parameters`."),
                 {"n": found.n, "shorter": found.shorter, "longer": found.longer, "asked_mean": found.asked_mean,
                  "got_mean": found.got_mean})


def echoes(facts: Facts) -> Check | None:
    """Outputs at least as long as their prompts, and longer where these are longer, likely begin with them."""
    correlation = facts.summary.evidence.echo_correlation
    if correlation is None:
        return None
    suspect = correlation > 0.9
    return Check(2, "output is no echo", WARN if suspect else PASS,
                 "Outputs are at least as long as their prompts; the lengths correlate by "
                 f"{correlation:.2f}" + (": the server likely repeats the prompt." if suspect else "."),
                 {"correlation": correlation})


def tokens_per_chunk(facts: Facts) -> Check | None:
    """How many tokens a chunk holds, and of how many streams that is known: only those have an ITL."""
    evidence = facts.summary.evidence
    if not evidence.chunks or not evidence.several_chunks or not evidence.chunk_tokens:
        return None
    held, known, streams = evidence.chunk_tokens / evidence.chunks, evidence.tokens_known, evidence.several_chunks
    text = (f"A chunk holds {held:.3g} tokens on average; how many each one holds is known of {known} of {streams} "
            "streams")
    if known < streams:
        text += ": ITL is of those alone, ICL of all" if known else ": ITL is blank, and ICL stands in its place"
    return Check(2, "tokens a chunk", PASS, f"{text}.",
                 {"tokens_per_chunk": held, "chunks": evidence.chunks, "known": known, "streams": streams})


def server_counters(facts: Facts) -> Check | None:
    """The server's own counters over the window against ours, where telemetry was collected."""
    given_up, several = facts.summary.outcomes.get("cancelled", 0), facts.summary.evidence.choices > 1
    known = {name: (ours, theirs) for name, theirs in facts.server.tokens.items()
             if (ours := _ours(facts, name)) is not None and not (several and name in _OF_REQUESTS)}
    if not known:
        return None
    if given_up:
        return _not_checkable(given_up)
    if facts.counted_by_input:
        return Check(2, "server's counters = ours", NOT_APPLICABLE, "Not checked: servers of embeddings and rankings "
                     "(vLLM) count each text, or pair, as a request.", {})
    name, (ours, theirs) = max(known.items(), key=lambda item: abs(relative(item[1][0], item[1][1])))
    difference = relative(ours, theirs)
    apart = f" {facts.server.unfinished:.0f} that it gave up are counted apart." if facts.server.unfinished else ""
    return Check(2, "server's counters = ours", graded(difference, CLOSE + facts.edges, FAR + facts.edges),
                 f"{name}: {ours:.4g} here, {theirs:.4g} by the server's counters ({difference:+.1%}).{apart}",
                 {name: {"ours": ours, "server": theirs} for name, (ours, theirs) in known.items()})


# With `n` answers to a request some servers (vLLM) count each answer as a request.
_OF_REQUESTS = ("output_tokens_mean", "input_tokens_mean", "requests_per_s")


def _ours(facts: Facts, name: str) -> float | None:
    """Our figure under the name of the server's. llama.cpp counts the tokens of a request when it ends."""
    if name != AT_END:
        return facts.value(name)
    window_s = facts.summary.totals.window_s
    return facts.summary.evidence.tokens_out_of_ended / window_s if window_s else None


def _not_checkable(given_up: int) -> Check:
    return Check(2, "server's counters = ours", NOT_APPLICABLE,
                 f"{given_up} requests were given up on purpose, and the server's counters hold their tokens, too: not "
                 "checkable.", {"given_up": given_up})
