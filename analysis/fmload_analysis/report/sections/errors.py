"""What became of the requests: outcomes by stage. A failure is counted here and never as a fast success."""

from __future__ import annotations

from fmload.model.outcome import NEITHER
from fmload_analysis.document import formats
from fmload_analysis.document.document import (
    Axis,
    Block,
    Cell,
    Chart,
    Column,
    Paragraph,
    Point,
    Section,
    Series,
    Table,
    literal,
)
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import FAILED
from fmload_analysis.stage.failures import failures
from fmload_analysis.stage.summarize import pooled
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, Line, kinds, lines, load_axis, load_value, stage_cells

MOST_MESSAGES = 20
_COLORS = (1, 4, 3, 6, 5, 7, 2, 0)  # the warm ones first
MEANINGS = {
    "ok": "ended well", "connect": "no connection could be made", "tls": "TLS handshake failed",
    "timeout_connect": "connecting took too long", "timeout_first_token": "no token came in time",
    "timeout_idle": "the stream fell silent", "timeout_total": "the whole request took too long",
    "http_4xx": "refused by the server, 4xx", "throttled": "429 or its AWS kin", "http_5xx": "server error, 5xx",
    "stream_error": "an error event after status 200", "truncated": "the stream ended with no reason and no end mark",
    "decode": "the answer could not be read", "empty": "an answer without a token",
    "cancelled": "stopped by the client; counts as neither good nor failed",
    "blocked": "a guardrail or content filter ended or replaced the answer",
    "client": "the load generator itself failed; counts as neither good nor failed, and fails the audit",
    "censored": "not answered within the drain; counts as failed",
}


def render(analysis: Analysis) -> Section | None:
    """Shares by stage as bars, and the counts. None without requests."""
    total = pooled(result.summary for result in analysis.results)
    if not total:
        return None
    failures = {outcome: count for outcome, count in total.items() if outcome != "ok"}
    if not failures:
        return Section("errors", "Errors", [Paragraph(
            f"{formats.several(total['ok'], 'request')} started inside a window; none of them failed."),
            *_reasons(analysis)], FAILED, "No request failed.")
    ranked = sorted(failures, key=lambda outcome: -failures[outcome])
    failed = any(result.totals.failed for result in analysis.results)
    pictured = [outcome for outcome in ranked if outcome not in NEITHER]
    pictures: list[Block] = [_chart(lines(analysis), pictured), _messages(analysis)] if failed else []
    return Section("errors", "Errors", [Paragraph(_sentence(total)), *pictures, _table(analysis, ranked),
                                         *_reasons(analysis)], FAILED, _gist(total))


def _gist(total: dict[str, int]) -> str:
    """`5 of 20 requests ended well; 3 throttled, …`, the most frequent first."""
    others = sorted((outcome for outcome in total if outcome != "ok"), key=lambda outcome: -total[outcome])
    more = f" and {len(others) - 3} other kinds" if len(others) > 3 else ""
    return (f"{total.get('ok', 0):,} of {formats.several(sum(total.values()), 'request')} ended well; "
            f"{', '.join(f'{total[each]:,} {each}' for each in others[:3])}{more}.")


def _reasons(analysis: Analysis) -> list[Block]:
    """Why the answers ended, by stage; nothing where no server tells."""
    reasons = sorted({reason for result in analysis.results for reason in result.summary.evidence.finish_reasons})
    if not reasons:
        return []
    columns = [*STAGE_COLUMNS, *(Column(literal(reason)) for reason in reasons),
               Column("Cut short", title="Ended at a length limit with fewer tokens than were asked for")]
    rows = [[*stage_cells(result), *(cell(result.summary.evidence.finish_reasons.get(reason, 0), formats.count)
                                     for reason in reasons),
             cell(result.summary.evidence.cut_short, formats.count,
                  "warn" if result.summary.evidence.cut_short else None)] for result in analysis.results]
    return [Table(columns, rows, "**Finish reasons** as the servers told them, of requests that started inside the "
                                 "window, failed ones too")]


def _sentence(total: dict[str, int]) -> str:
    requests = sum(total.values())
    parts = [f"{count:,} `{outcome}` ({MEANINGS.get(outcome, outcome)})" for outcome, count in
             sorted(total.items(), key=lambda item: -item[1]) if outcome != "ok"]
    return (f"Of {formats.several(requests, 'request')} that started inside a window, {total.get('ok', 0):,} ended "
            f"well. The others: {'; '.join(parts)}.")


def _chart(found: list[Line], ranked: list[str]) -> Chart:
    found = [line for line in found if any(result.totals.failed for result in line.results)]
    kind = kinds(found)
    axis = load_axis(kind[0], found) if len(kind) == 1 else Axis("Load")
    levels = sorted({load_value(result) for line in found for result in line.results})
    order = {level: place for place, level in enumerate(levels)}
    series = [Series(outcome, [
        Point(order[load_value(result)], 100 * result.summary.outcomes.get(outcome, 0) / requests,
              tip=f"stage {result.stage}: {result.summary.outcomes.get(outcome, 0):,} of {requests:,} requests")
        for result in line.results if result.summary.stage.repeat == 0
        and (requests := result.totals.failed + result.totals.succeeded)],
        _COLORS[place % len(_COLORS)], panel=line.name)
        for line in found for place, outcome in enumerate(ranked)]
    named = Axis(axis.label, axis.unit, categories=[f"{level:g}" for level in levels])
    return Chart("errors", "Requests that failed, by outcome", "bar", named,
                 Axis("Share of requests", "%"), series,
                 note="Endpoints and prompt sets without a failure are left out.")


def _messages(analysis: Analysis) -> Table:
    columns = [Column("Endpoint", numeric=False), Column("Outcome", numeric=False), Column("Status"),
               Column("Requests"), Column("Message", numeric=False, wide=True)]
    found = failures(analysis.run)
    rows = [[name(each.endpoint), Cell(literal(each.outcome), each.outcome), cell(each.status, formats.whole),
             cell(each.count, formats.count), Cell(literal(each.message or ""))] for each in found[:MOST_MESSAGES]]
    more = f" The {MOST_MESSAGES} most frequent of {len(found)}." if len(found) > MOST_MESSAGES else ""
    return Table(columns, rows, f"**What failed, and what was said**, warm-up and drain included.{more}")


def _table(analysis: Analysis, ranked: list[str]) -> Table:
    columns = [*STAGE_COLUMNS, Column("Started", title="Requests of all outcomes"), Column("Error rate"), Column("ok"),
               *(Column(outcome, title=MEANINGS.get(outcome, "")) for outcome in ranked)]
    rows = []
    for result in analysis.results:
        outcomes, rate = result.summary.outcomes, result.value("error_rate")
        rows.append([
            *stage_cells(result), cell(sum(outcomes.values()), formats.count),
            cell(rate, formats.percent, "bad" if rate else "good"), cell(outcomes.get("ok", 0), formats.count),
            *(_count(outcome, outcomes.get(outcome, 0)) for outcome in ranked)])
    return Table(columns, rows, "**Counts by outcome**, of requests that started inside the window")


def _count(outcome: str, count: int) -> Cell:
    return cell(count, formats.count, "bad" if count and outcome != "cancelled" else None)
