"""The file's figures against those of its own requests, where both stand in it."""

from __future__ import annotations

from fmload_analysis.published.checks.relation import Relation
from fmload_analysis.published.rows.published import Row


def own_requests(row: Row) -> list[Relation]:
    """A relation a figure that can be worked out anew from the requests in the same file."""
    return [_relation(name, value) for name, value in row.recomputed.items() if name in row.figures]


def _relation(name: str, expected: float) -> Relation:
    loose = 0.05 if name.rpartition("_")[2].startswith("p") else 0.01  # percentile methods differ

    def off(row: Row) -> float | None:
        value = row.figures.get(name)
        if value is None:
            return None
        return value / expected - 1 if expected else float(abs(value) > 1e-12)

    return Relation(f"{name} = that of the file's own requests", 6, lambda row: (name,), off,
                    lambda row: f"{name} {row.figures[name]:.6g}; of the file's own requests {expected:.6g}.", loose,
                    loose)
