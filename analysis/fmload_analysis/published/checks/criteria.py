"""FMBench's criteria: the flags of a row against each other and against the budgets of its report."""

from __future__ import annotations

from fmload_analysis.audit.facts import FAIL, PASS
from fmload_analysis.published.rows.published import Correction, Published, Row
from fmload_analysis.verdict.table import Check

ANY = "any_criterion_failed"
_FIGURES = {"error_rate_criterion_failed": "error_rate", "latency_criterion_failed": "e2e",
            "cost_per_txn_criterion_failed": "price_per_10k_transactions"}
_ROUNDED = {"error_rate_text": "error_rate", "latency_mean_text": "e2e_mean", "latency_p95_text": "e2e_p95",
            "price_per_10k_txn_text": "price_per_10k_transactions"}


def criteria(row: Row, published: Published) -> tuple[Check, list[Correction]] | None:
    """`any` is true exactly when one of the criteria is; each is true exactly when its text is red."""
    if not row.flags:
        return None
    wrong = []
    single = [value for name, value in row.flags.items() if name in _FIGURES]
    if ANY in row.flags and single and row.flags[ANY] != any(single):
        wrong.append(f"{ANY} is {row.flags[ANY]}, {sum(single)} of {len(single)} criteria failed")
    for name, figure in _FIGURES.items():
        red = row.flags.get(f"red {figure}")
        if name in row.flags and red is not None and row.flags[name] != red:
            wrong.append(f"{name} is {row.flags[name]}, its text is {'red' if red else 'green'}")
    wrong += _against_budgets(row)
    return Check(9, "criteria as told", FAIL if wrong else PASS,
                 ("; ".join(wrong) or f"{len(row.flags)} flags agree") + ".", dict(row.flags)), []


def _against_budgets(row: Row) -> list[str]:
    found = []
    for figure in ("error_rate", "e2e", "price_per_10k_transactions"):
        budget, red = row.value(f"budget_{figure}"), row.flags.get(f"red {figure}")
        value = row.value(figure) if figure != "e2e" else row.value("e2e_p95") or row.value("e2e_mean")
        if budget is None or value is None or red is None:
            continue
        step = row.step(figure) + 1e-9
        if (value > budget + step and not red) or (value < budget - step and red):
            found.append(f"{figure} {value:g} is {'red' if red else 'green'} against a budget of {budget:g}")
    return found


def rounded(row: Row, published: Published) -> tuple[Check, list[Correction]] | None:
    """A column that repeats another one rounded says the same."""
    pairs = [(name, row.value(f"rounded_{figure}"), row.value(figure), row.step(f"rounded_{figure}"))
             for name, figure in _ROUNDED.items()]
    known = [(name, text, exact, step) for name, text, exact, step in pairs if text is not None and exact is not None]
    if not known:
        return None
    wrong = [f"{name} {text:g}, exactly {exact:.6g}" for name, text, exact, step in known
             if abs(text - exact) > max(1.2 * step, 1e-9)]
    return Check(9, "rounded columns repeat exact ones", FAIL if wrong else PASS,
                 ("; ".join(wrong) or f"{len(known)} agree") + ".", {name: text for name, text, *_ in known}), []
