"""The audit of published tables: whether the columns of each row can all be true, and which of them are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fmload.pricing.table import PriceTable
from fmload_analysis.audit.facts import CLOSE, FAR, PASS
from fmload_analysis.published.checks import (
    criteria,
    failures,
    latency,
    lengths,
    littles_law,
    prices,
    shape,
    throughput,
)
from fmload_analysis.published.checks.diagnosis import Diagnosis, diagnose
from fmload_analysis.published.checks.records import own_requests
from fmload_analysis.published.checks.relation import Relation
from fmload_analysis.published.rows.published import AuditedRow, Correction, Published, Row
from fmload_analysis.published.rows.sweep import Sweep
from fmload_analysis.verdict.table import Check

Finding = tuple[Check, list[Correction]]
RELATIONS: tuple[Relation, ...] = (*littles_law.RELATIONS, *throughput.RELATIONS, *latency.RELATIONS, *prices.RELATIONS,
                                   *shape.RELATIONS)
CHECKS: tuple[Callable[[Row, Published], Finding | None], ...] = (
    lengths.echo, lengths.longest_answer, lengths.time_per_token, lengths.by_chunk, lengths.equal_percentiles,
    failures.failures, criteria.criteria, criteria.rounded)
_ALWAYS = {check.name for check in RELATIONS if check.group in (1, 4)} | {
    throughput.RATE.name, throughput.TOKENS.name, latency.FIRST.name, latency.SUM.name}
_LARGEST_EDGE = 0.12
_SINGLE_CHECKS = ("requests succeed", "percentiles differ", "price arithmetic")


def audit_row(row: Row, published: Published, table: PriceTable) -> AuditedRow:
    """All checks that the row's columns allow, and the corrections that follow."""
    close = max(CLOSE, _edge(row)) if published.edges else CLOSE
    relations = [*(_loosened(relation, close) if published.loose else relation for relation in RELATIONS),
                 *own_requests(row)]
    diagnosis = diagnose(row, relations, published.weak)
    checks = [_check(row, relation, diagnosis) for relation in relations
              if relation.needs(row) and not relation.supports_only]
    found = [finding for finding in (*(check(row, published) for check in CHECKS),
                                     prices.price_check(row, published, table)) if finding]
    corrections = [*diagnosis.corrections, *(one for _, several in found for one in several)]
    return _gathered(row, [*_short(checks), *(check for check, _ in found)], corrections)


def _loosened(relation: Relation, close: float) -> Relation:
    if relation.group != 2:
        return relation
    return replace(relation, warn=max(relation.warn, close), fail=max(relation.fail, FAR))


def _edge(row: Row) -> float:
    """The share of the requests that go on at an end of the run: as many as are in flight."""
    flying, count = row.value("achieved_concurrency") or row.value("concurrency"), row.value("completed")
    return min(flying / count, _LARGEST_EDGE) if flying and count else 0.0


def _gathered(row: Row, checks: list[Check], corrections: list[Correction]) -> AuditedRow:
    made = {check.name for check in checks}
    missing = tuple(sorted(name for name in (*_ALWAYS, *_SINGLE_CHECKS) if name not in made))
    unique = {correction.figure: correction for correction in reversed(corrections)}
    kept = tuple(correction for correction in dict.fromkeys(corrections) if unique[correction.figure] is correction)
    return AuditedRow(row, tuple(sorted(checks, key=lambda check: check.group)), kept, missing)


def _check(row: Row, relation: Relation, diagnosis: Diagnosis) -> Check:
    result, columns = relation.result(row), relation.needs(row)
    if_wrong = diagnosis.if_wrong.get(relation.name, {})
    sentence = relation.sentence(row)
    if result != PASS and if_wrong:
        each = ", ".join(f"{row.called(name)} would be {row.as_file(name, value):.4g}"
                         for name, value in if_wrong.items())
        sentence += f" If it alone is wrong: {each}."
    figures = {"columns": {row.called(name): row.as_file(name) for name in columns}}
    if if_wrong:
        figures["if_wrong"] = {row.called(name): row.as_file(name, value) for name, value in if_wrong.items()}
    return Check(relation.group, relation.name, result, sentence, figures)


def _short(checks: list[Check]) -> list[Check]:
    """Checks of one kind (percentiles of six figures) that all passed, as one."""
    kept, passed = [], dict[str, Check]()
    for check in checks:
        kind = _kind(check.name)
        if kind is None or check.result != PASS:
            kept.append(check)
        elif kind in passed:
            passed[kind] = _joined(passed[kind], check)
        else:
            passed[kind] = replace(check, name=kind)
    return [*kept, *passed.values()]


_KINDS = ("percentiles in order", "mean, median and deviation", "mean within its percentiles", "median = p50",
          "mean × count = sum", "that of the file's own requests")


def _kind(name: str) -> str | None:
    return next((kind for kind in _KINDS if name.endswith(kind)), None)


def _joined(one: Check, other: Check) -> Check:
    return replace(one, figures={"columns": {**one.figures["columns"], **other.figures["columns"]}},
                   sentence=f"{len(one.figures['columns']) + len(other.figures['columns'])} figures.")


def audit_published(published: Published, table: PriceTable) -> tuple[AuditedRow, ...]:
    """The audit of every row."""
    return tuple(audit_row(row, published, table) for row in published.rows)


def audit_sweep(sweep: Sweep, table: PriceTable) -> tuple[AuditedRow, ...]:
    """The audit of every row of every file."""
    return tuple(row for published in sweep.parts for row in audit_published(published, table))
