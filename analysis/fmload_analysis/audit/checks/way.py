"""What lies between client and server, and is in every latency."""

from __future__ import annotations

from fmload.base.units import format_duration
from fmload_analysis.audit.facts import CLOSE, PASS, WARN, Facts
from fmload_analysis.verdict.table import Check


def proxy(facts: Facts) -> Check | None:
    """An endpoint that is asked through a proxy: which, and what the proxy takes for itself, as far as it is known."""
    way = facts.summary.endpoint.proxy
    if way is None:
        return None
    taken_s = way.answer_s if way.answer_s is not None else way.connect_s
    text = f"Asked through the proxy {way.proxy}: the way to it, and its own time, are in every latency"
    if taken_s is None:
        return Check(3, "the proxy's time is small", WARN, f"{text}; how much that is was not measured.",
                     {"proxy": way.proxy})
    latency_s = facts.latency_s
    share = taken_s / latency_s if latency_s else None
    told = f"a connection to it took {_shown(way.connect_s)}"
    if way.answer_s is not None:
        told += f", an answer of its own {_shown(way.answer_s)}"
    if way.tunnel_s is not None:
        told += f", a tunnel through it {_shown(way.tunnel_s)}"
    told += " at the median before the load"
    beside = f": {share:.1%} of the median {_name(facts)}, at most, is the proxy's" if share is not None else ""
    result = PASS if share is not None and share <= CLOSE else WARN
    return Check(3, "the proxy's time is small", result, f"{text}; {told}{beside}.",
                 {"proxy": way.proxy, "connect_s": way.connect_s, "answer_s": way.answer_s, "tunnel_s": way.tunnel_s,
                  "share": share})


def looks(facts: Facts) -> Check | None:
    """An endpoint that puts its answers somewhere: how often they were looked for, beside the latency that they had."""
    every_s, latency_s = facts.summary.endpoint.looks_every_s, facts.value("e2e_p50")
    if every_s is None or latency_s is None:
        return None
    share = every_s / latency_s
    text = (f"Answers were looked for every {format_duration(every_s)}: each E2E latency is too long by up to that and "
            f"a look, half of it on average; {share:.1%} of the median, at most")
    return Check(3, "answers are looked for often enough", PASS if share <= CLOSE else WARN,
                 f"{text}{'' if share <= CLOSE else '; a shorter `poll` tells it more exactly'}.",
                 {"every_s": every_s, "share": share})


def _shown(seconds: float | None) -> str:
    return "n/a" if seconds is None else format_duration(seconds)


def _name(facts: Facts) -> str:
    return "TTFT" if facts.value("ttft_p50") is not None else "E2E latency"
