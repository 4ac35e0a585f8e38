"""Token counts that must agree: by arrival, by request, by the server, by the tokenizer."""

from __future__ import annotations

from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, PASS, WARN, Facts, graded, relative
from fmload_analysis.verdict.table import Check


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
    if difference is None:
        return None
    template = evidence.template_tokens
    result = PASS if abs(difference) <= FAR or template is not None else WARN
    why = (f": {template:.0f} more with every one, as a chat template adds." if template is not None
           else "." if result == PASS else ": another tokenizer, or a template.")
    return Check(2, "server's token count = tokenizer's", result,
                 f"Over {evidence.prompt_tokens_compared} requests the server counts {difference:+.1%} prompt tokens "
                 f"against the client's tokenizer{why}",
                 {"difference": difference, "requests": evidence.prompt_tokens_compared})


def token_source(facts: Facts) -> Check | None:
    """Where the counts come from: chunks are the last resort."""
    sources = facts.summary.evidence.tokens_source
    if not sources:
        return None
    chunks = sources.get("chunks", 0)
    named = ", ".join(f"{count} by the {'number of chunks' if name == 'chunks' else name}"
                      for name, count in sorted(sources.items()))
    return Check(2, "source of the token counts", WARN if chunks else PASS, f"Output tokens were counted: {named}.",
                 dict(sources))


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
    """How many tokens a chunk holds, by the server's count."""
    evidence = facts.summary.evidence
    if not evidence.chunks or not evidence.streams or not evidence.chunk_tokens:
        return None
    held = evidence.chunk_tokens / evidence.chunks
    result = PASS if abs(held - 1) <= CLOSE else WARN
    text = f"A chunk holds {held:.3g} tokens on average."
    if result == WARN:
        text += " Chunk gaps (ICL) are not token gaps; TPOT is by the token count."
    return Check(2, "tokens a chunk", result, text, {"tokens_per_chunk": held, "chunks": evidence.chunks})


def server_counters(facts: Facts) -> Check | None:
    """The server's own counters over the window against ours, where telemetry was collected."""
    compared = {name: (facts.value(name), figure) for name, figure in facts.server.tokens.items()}
    known = {name: (ours, theirs) for name, (ours, theirs) in compared.items() if ours is not None}
    if not known:
        return None
    name, (ours, theirs) = max(known.items(), key=lambda item: abs(relative(item[1][0], item[1][1])))
    difference = relative(ours, theirs)
    apart = f" {facts.server.unfinished:.0f} that it gave up are counted apart." if facts.server.unfinished else ""
    return Check(2, "server's counters = ours", graded(difference, CLOSE + facts.edges, FAR + facts.edges),
                 f"{name}: {ours:.4g} here, {theirs:.4g} by the server's counters ({difference:+.1%}).{apart}",
                 {name: {"ours": ours, "server": theirs} for name, (ours, theirs) in known.items()})
