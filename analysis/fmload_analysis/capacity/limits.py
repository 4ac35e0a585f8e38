"""The objectives that a plan is judged by, and whether a simulated fleet keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fmload.base.errors import Faults, FmloadError
from fmload.config.objectives import Objective, broken, parse_objectives
from fmload_analysis.capacity.figures import STATISTICS, Estimate

KEEPS_UP = 0.97  # requests that get a slot ÷ requests that come, over a window: less is a queue that grows
BUSY = 0.8  # without objectives: replicas do no more than this share of what they could
_METRICS = ("ttft", "e2e", "tpot")
Result = Literal["kept", "unclear", "missed"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One objective of one simulated fleet."""

    name: str
    limit: float
    unit: str
    found: Estimate
    result: Result


def objectives_of(run: Mapping[str, object], given: Sequence[str]) -> tuple[tuple[Objective, ...], tuple[str, ...]]:
    """The objectives that a simulation can judge, and the names of those it cannot: those of the command line, else the
    run's. Raises FmloadError for all that are wrong in one pass."""
    asked: dict[str, object] = dict(run)
    if given:
        faults, asked = Faults(), {}
        for text in given:
            name, equal, limit = text.partition("=")
            wrong = "write it as NAME=LIMIT, such as ttft_p95=2s" if not equal else (
                f"'{name}' stands twice; keep one" if name in asked else next(
                    (said for _, said in broken({name: _number(limit)})), None))
            asked[name] = limit
            if wrong:
                faults.add(FmloadError(f"--objective {text}: {wrong}", hint="for example ttft_p95=2s, e2e_p99=10s"))
        faults.check()
    parsed = parse_objectives({name: _number(limit) for name, limit in asked.items()})
    known = tuple(one for one in parsed if one.name == "error_rate"
                  or (one.metric in _METRICS and one.stat in STATISTICS))
    return known, tuple(one.name for one in parsed if one not in known)


def _number(limit: object) -> object:
    """A number from the command line; text with a unit as it is."""
    try:
        return float(limit) if isinstance(limit, str) else limit
    except ValueError:
        return limit


def judged(objectives: Sequence[Objective], found: Mapping[str, Estimate]) -> tuple[Judged, ...]:
    """Each objective, and that the fleet keeps up; without objectives that it does no more than 80 % of what it
    could as well.

    Kept: the whole interval is within the limit; missed: none of it is.
    """
    rows = [_at_most(one.name, one.limit, one.unit, found.get(one.name)) for one in objectives]
    kept_up = found["kept_up"]
    rows.append(Judged("kept_up", KEEPS_UP, "share", kept_up, "kept" if kept_up.value >= KEEPS_UP else "missed"))
    if not objectives:
        rows.append(_at_most("utilisation", BUSY, "share", found["utilisation"]))
    return tuple(rows)


def _at_most(name: str, limit: float, unit: str, found: Estimate | None) -> Judged:
    if found is None or found.value != found.value:
        return Judged(name, limit, unit, found or Estimate(float("nan")), "missed")
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    return Judged(name, limit, unit, found, "kept" if high <= limit else "missed" if low > limit else "unclear")


def keeps(rows: Sequence[Judged]) -> bool:
    """Whether all are kept."""
    return all(row.result == "kept" for row in rows)
