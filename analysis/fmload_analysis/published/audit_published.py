"""The audit of published tables: each check takes one row's columns and sees whether they can all be true."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fmload.base.units import format_duration
from fmload.pricing.table import PriceTable
from fmload_analysis.audit.facts import FAIL, FAR, PASS, WARN, graded, relative
from fmload_analysis.published.published import AuditedRow, Correction, Published, Row
from fmload_analysis.verdict.table import Check

Finding = tuple[Check, list[Correction]]
PRICE_TOLERANCE = 0.01


def latency_s(row: Row) -> tuple[float, str] | None:
    """The row's E2E latency and which statistic it is; llmperf's ITL × output tokens, where that is all there is."""
    for stat in ("mean", "p50"):
        value = row.value(f"e2e_{stat}")
        if value:
            return value, f"E2E {stat}"
    itl, out = row.value("itl_with_ttft_p50"), row.value("output_tokens_mean")
    return (itl * out, "ITL p50 × output tokens") if itl and out else None


def littles_law(row: Row) -> Finding | None:
    """Requests a second × latency can be no more than the concurrency, and is no less when the load was really on."""
    users, per_minute, latency = row.value("concurrency"), row.value("transactions_per_minute"), latency_s(row)
    if not users or not per_minute or latency is None:
        return None
    seconds, named = latency
    in_flight = per_minute / 60 * seconds
    difference = relative(in_flight, users)
    if difference < 0:
        difference = min(relative(_untruncated(per_minute) / 60 * seconds, users), 0.0)
    result = graded(difference)
    sentence = (f"{per_minute:g} transactions a minute of {format_duration(seconds)} ({named}) are "
                f"{in_flight:.3g} requests in flight; {users:g} were offered ({difference:+.0%}).")
    corrections = [] if result == PASS else _little_corrections(row, users, per_minute, seconds, in_flight)
    return Check(1, "concurrency = throughput × latency", result, sentence,
                 {"offered": users, "in_flight": in_flight}), corrections


def _untruncated(per_minute: float) -> float:
    """The largest rate that a truncated whole number can stand for."""
    return per_minute + 1 if per_minute == int(per_minute) else per_minute


def _little_corrections(row: Row, users: float, per_minute: float, seconds: float,
                        in_flight: float) -> list[Correction]:
    if in_flight < users:
        return [Correction("concurrency", users, in_flight, "so many were in flight, by throughput × latency")]
    possible = 60 * users / seconds
    found = [Correction("transactions_per_minute", per_minute, possible,
                        "no more fit one after another into a minute at this latency")]
    price = row.value("price_per_transaction")
    if price:
        found.append(Correction("price_per_transaction", price, price * per_minute / possible,
                                "the same hourly price over the transactions that are possible"))
    return found


def token_throughput(row: Row) -> Finding | None:
    """Output tokens a second = requests a second × mean output tokens."""
    per_minute, mean, published = (row.value(name) for name in (
        "transactions_per_minute", "output_tokens_mean", "output_tokens_per_s"))
    if not per_minute or not mean or not published:
        return None
    expected = per_minute / 60 * mean
    difference = relative(published, expected)
    if difference > 0:
        difference = max(relative(published, _untruncated(per_minute) / 60 * mean), 0.0)
    result = graded(difference)
    reason = f"{per_minute:g} requests a minute × {mean:g} output tokens ÷ 60"
    corrections = [] if result == PASS else [Correction("output_tokens_per_s", published, expected, reason)]
    price = row.value("price_per_1m_output_tokens")
    if corrections and price:
        corrections.append(Correction("price_per_1m_output_tokens", price, price * published / expected,
                                      "the same hourly price over that throughput"))
    return Check(2, "token throughput = requests × tokens", result,
                 f"{published:g} tokens/s published; {reason} are {expected:.2f} ({difference:+.0%}).",
                 {"published": published, "expected": expected}), corrections


def output_length(row: Row) -> Finding | None:
    """A completion longer than max_tokens, or a little longer than its prompt, is an echo and not output."""
    made, given, limit = (row.value(name) for name in ("output_tokens_mean", "input_tokens_mean", "max_output_tokens"))
    if not made:
        return None
    over = limit is not None and made > limit
    echo = given is not None and given < made <= 1.15 * given
    if not over and not echo:
        return Check(2, "output is output", PASS, f"{made:g} output tokens on average.", {"mean": made}), []
    sentence = f"{made:g} output tokens on average"
    sentence += f" against max_tokens of {limit:g}" if over else ""
    corrections: list[Correction] = []
    if given is not None and echo:
        sentence += f": {given:g} prompt tokens and {made - given:g} more; the prompt was likely echoed"
        corrections = _without_echo(row, made, given)
    return Check(2, "output is output", FAIL if over else WARN, sentence + ".",
                 {"mean": made, "prompt": given, "max_tokens": limit}), corrections


def _without_echo(row: Row, made: float, given: float) -> list[Correction]:
    reason = "output less the echoed prompt"
    found = [Correction("output_tokens_mean", made, made - given, reason)]
    throughput = row.value("output_tokens_per_s")
    if throughput:
        found.append(Correction("output_tokens_per_s", throughput, throughput * (made - given) / made, reason))
    return found


def first_token(row: Row) -> Finding | None:
    """TTFT ≤ E2E at the same statistic."""
    pairs = [(stat, row.value(f"ttft_{stat}"), row.value(f"e2e_{stat}")) for stat in ("mean", "p50", "p95", "p99")]
    known = [(stat, first, last) for stat, first, last in pairs if first is not None and last is not None]
    if not known:
        return None
    wrong = [stat for stat, first, last in known if first > last]
    stat, first, last = next((pair for pair in known if pair[0] in wrong), known[0])
    return Check(3, "TTFT ≤ E2E", FAIL if wrong else PASS,
                 f"TTFT {stat} {format_duration(first)}, E2E {stat} {format_duration(last)}.",
                 {"ttft_s": first, "e2e_s": last}), []


def time_per_token(row: Row) -> Finding | None:
    """An inter-token latency whose first gap is TTFT is E2E ÷ tokens: queueing leaks into it."""
    itl, first, made = (row.value(name) for name in ("itl_with_ttft_p50", "ttft_p50", "output_tokens_mean"))
    if not itl or not first or not made or made <= 1:
        return None
    tpot = (itl * made - first) / (made - 1)
    difference = relative(itl, tpot)
    return Check(3, "ITL is without TTFT", WARN if abs(difference) > 0.05 else PASS,
                 f"The published ITL of {format_duration(itl)} counts TTFT as a gap; without it a token takes "
                 f"{format_duration(tpot)} ({difference:+.0%}).", {"published_s": itl, "tpot_s": tpot}), [
        Correction("tpot_p50", itl, tpot, "(E2E − TTFT) ÷ (tokens − 1), from the published medians")]


def equal_percentiles(row: Row) -> Finding | None:
    """p50 = p95 = p99 is what percentiles of one sample look like."""
    found = [row.value(f"e2e_{stat}") for stat in ("p50", "p95", "p99")]
    if any(value is None for value in found):
        return None
    same = len(set(found)) == 1
    return Check(6, "percentiles differ", WARN if same else PASS,
                 f"E2E p50, p95 and p99 are {', '.join(f'{value:g}' for value in found)} s"
                 + (": percentiles of single samples, averaged." if same else "."),
                 {"p50": found[0], "p95": found[1], "p99": found[2]}), []


def failures(row: Row) -> Finding | None:
    """Failed requests are told, and few."""
    errors, requests, rate = (row.value(name) for name in ("errors", "requests", "error_rate"))
    share = errors / requests if errors is not None and requests else rate
    if share is None and errors is None:
        return None
    failed = bool(share or errors)
    result = PASS if not failed else FAIL if share is not None and share > FAR else WARN
    told = f"{share:.1%} of the requests failed" if share is not None else f"{errors:g} requests failed"
    return Check(6, "requests succeed", result, told + (
        "; latencies and throughput are of the rest." if failed else "."), {"errors": errors, "share": share}), []


def hourly_price(row: Row, table: PriceTable) -> Finding | None:
    """The hourly price that the published prices imply, against the one told or the price table's."""
    implied = implied_hourly(row)
    if implied is None:
        return None
    quote = table.hourly(row.instance_type) if row.instance_type else None
    known = row.value("usd_per_hour") or (quote.usd if quote else None)
    count = row.value("instance_count") or 1.0
    sentence = f"The published price implies ${implied:,.4g} per hour"
    if known is None:
        return Check(8, "price arithmetic", PASS, sentence + "; there is none to compare it with.",
                     {"implied_usd_per_hour": implied}), []
    difference = relative(implied, known * count)
    return Check(8, "price arithmetic", graded(difference, PRICE_TOLERANCE, FAR),
                 f"{sentence}; the price table has ${known * count:,.4g} ({difference:+.1%}).",
                 {"implied_usd_per_hour": implied, "usd_per_hour": known * count}), []


def implied_hourly(row: Row) -> float | None:
    """USD per hour from price per transaction × transactions, or from price per million tokens × throughput."""
    price, per_minute = row.value("price_per_transaction"), row.value("transactions_per_minute")
    if price and per_minute:
        return price * 60 * per_minute
    per_million, per_second = row.value("price_per_1m_output_tokens"), row.value("output_tokens_per_s")
    return per_million / 1e6 * per_second * 3600 if per_million and per_second else None


CHECKS: tuple[Callable[[Row], Finding | None], ...] = (
    littles_law, token_throughput, output_length, first_token, time_per_token, equal_percentiles, failures)


def audit_row(row: Row, table: PriceTable) -> AuditedRow:
    """All checks that the row's columns allow, and the corrections that follow."""
    found: Iterable[Finding | None] = (*(check(row) for check in CHECKS), hourly_price(row, table))
    findings = [finding for finding in found if finding]
    return AuditedRow(row, tuple(check for check, _ in findings),
                      tuple(correction for _, corrections in findings for correction in corrections))


def audit_published(published: Published, table: PriceTable) -> tuple[AuditedRow, ...]:
    """The audit of every row."""
    return tuple(audit_row(row, table) for row in published.rows)
