"""The panel of judges as the report shows it: their work and its cost, how far they agree, and what to beware of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fmload_analysis.document import formats
from fmload_analysis.document.document import Callout, Column, Table
from fmload_analysis.document.formats import cell, name, percent, several, usd

WEAK_KAPPA = 0.4  # up to here agreement is "fair" at best (Landis and Koch 1977)
MANY = 10  # verdicts, of which one word alone is worth a remark
Json = Mapping[str, Any]


def cost_told(found: Json) -> str:
    """What the judges' replies cost, and whose price is not in it."""
    paid = [judge for judge in found["judges"] if judge["ok"] + judge["garbage"]]
    unknown = _listed([judge["judge"] for judge in paid if judge["usd"] is None])
    if found["usd"] is None:
        return f"what the replies cost is unknown: no token prices of {unknown}" if unknown else "no replies to pay for"
    without = f", without those of {unknown}, whose token prices are unknown" if unknown else ""
    return f"the replies cost {usd(found['usd'])}{without}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def judges_table(found: Json) -> Table:
    """One line a judge."""
    columns = [Column("Judge", numeric=False), Column("Questions"), Column("Verdicts"),
               Column("Says correct", title="Of the answers it graded"),
               Column("Order", "changed", "Comparisons in which the choice changed with the order"),
               Column("First place", "chosen", "Of its choices but ties: one half without bias"), Column("Cost", "USD"),
               Column("Throttled", "attempts"), Column("No verdict", "replies", detail=True),
               Column("Failed", detail=True), Column("Not asked", detail=True),
               Column("Input", "tokens", detail=True), Column("Output", "tokens", detail=True)]
    rows = []
    for judge in found["judges"]:
        order = judge["order"] or {}
        rows.append([
            name(judge["judge"]), *(cell(judge[key], formats.count) for key in ("questions", "ok")),
            cell(judge["correct_share"], percent),
            cell(order["changed"] / order["n"] if order else None, percent), cell(order.get("first_share"), percent),
            cell(judge["usd"], usd), *(cell(judge[key], formats.count) for key in (
                "throttled", "garbage", "failed", "unasked", "input_tokens", "output_tokens"))])
    return Table(columns, rows, f"**Judges**: {cost_told(found)}")


def agreement_table(found: Json) -> Table:
    """Every two judges, and all of them."""
    columns = [Column("Judges", numeric=False), Column("Answers", title="That both, or all, gave a verdict on"),
               Column("Same verdict"), Column("Kappa"), Column("Statistic", numeric=False)]
    figures = [(" and ".join(each["judges"]), each, "Cohen's κ") for each in found["agreement"]]
    if found["panel"]:
        figures.append(("all", found["panel"], "Fleiss' κ"))
    rows = [[name(who), cell(each["n"], formats.count), cell(each["observed"], percent),
             cell(each["kappa"], _kappa), name(statistic)] for who, each, statistic in figures]
    return Table(columns, rows, "**Agreement between the judges**: 1 is full agreement, 0 what chance gives")


def _kappa(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def warnings(found: Json) -> Iterator[Callout]:
    """What makes the panel less than it seems."""
    yield from _weak(found["panel"])
    for judge in found["judges"]:
        yield from _one_sided(judge, found["judges"])
        yield from _order_bias(judge)
        yield from _missing(judge)


def _weak(panel: Json | None) -> Iterator[Callout]:
    if panel and panel["kappa"] is not None and panel["kappa"] <= WEAK_KAPPA:
        yield Callout("warn", "Weak agreement", f"Over {several(panel['n'], 'answer')} the panel's κ is "
                      f"{_kappa(panel['kappa'])}: other judges might well have voted otherwise. Read their reasons in "
                      "`evaluated.jsonl`, and sharpen the rubric or replace a judge.")


def _one_sided(judge: Json, judges: Sequence[Json]) -> Iterator[Callout]:
    """Worth a remark only where another judge saw a difference."""
    share, graded = judge["correct_share"], judge.get("graded") or 0
    differ = any(other["correct_share"] not in (None, share) for other in judges)
    if share in (0, 1) and graded >= MANY and differ:
        yield Callout("warn", "One-sided judge", f"**{judge['judge']}** calls {'every one' if share else 'none'} of "
                      f"{graded} answers correct, the others do not: its verdicts tell nothing apart.")


def _order_bias(judge: Json) -> Iterator[Callout]:
    order = judge["order"]
    if order and 2 * order["changed"] > order["n"]:
        yield Callout("warn", "Order bias", f"The choices of **{judge['judge']}** changed with the order of the "
                      f"answers in {order['changed']} of {order['n']} comparisons; those have no vote.")


def _missing(judge: Json) -> Iterator[Callout]:
    lacking = {"replies without one": judge["garbage"], "failures": judge["failed"], "not asked": judge["unasked"]}
    if total := sum(lacking.values()):
        why = ", ".join(f"{count:,} {what}" for what, count in lacking.items() if count)
        yield Callout("warn", "Missing verdicts", f"**{judge['judge']}** gave no verdict on {total:,} of "
                      f"{several(judge['questions'], 'question')}: {why}.")
