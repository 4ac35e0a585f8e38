"""Tenants: the requests of each of those who share a stage, and how fairly they were served.

The *service* that a tenant got is tokens, an output token counting as much as two of the input, and input that came
from a cache as none: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024, section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fmload.base.apportion import shares
from fmload.config.goodput import limits_of
from fmload.config.objectives import Objective
from fmload.metrics.definitions import Bools, Totals, of_level, ratio
from fmload.model.stage import Stage
from fmload.model.verdict import Judged
from fmload_analysis.run import Run
from fmload_analysis.stage.distribution import Distribution, Wanted, of_requests
from fmload_analysis.stage.judging import judged
from fmload_analysis.stage.spend import Prices, Spend, spend_of
from fmload_analysis.stage.stats import finite
from fmload_analysis.stage.table import Part, in_blocks
from fmload_analysis.stage.timeline import Requests
from fmload_analysis.stage.totals import totals_of
from fmload_analysis.stage.windows import inside

NOBODY = ""  # whose requests are those of no tenant
INPUT_WEIGHT, OUTPUT_WEIGHT = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class TenantSummary:
    """The requests of one tenant in one stage.

    `weight`: its share of the stage's requests as the run file has it; None: their rows say whose they are. `due`:
    those that were due inside the window: by the schedule, or when a user became free. `service`: weighted tokens
    inside the window, whatever became of their requests. `recorded`: all of the stage, its warm-up and drain included.
    `objectives`: what it is judged by, `own` where they are its own.
    """

    name: str
    weight: float | None
    due: int
    totals: Totals
    distributions: Mapping[str, Distribution]
    outcomes: Mapping[str, int]
    service: float
    recorded: int
    objectives: tuple[Objective, ...] = ()
    own: bool = False
    judged: Mapping[str, Judged] = field(default_factory=dict)
    spend: Spend = field(default_factory=Spend)

    @property
    def served_share(self) -> float | None:
        """Requests that ended well inside the window, of those that it asked for there. None: it asked for none."""
        return part_of_asked(self.totals.completed, self.due)

    @property
    def good_share(self) -> float | None:
        """Those within its objectives, of those that it asked for. None: it asked for none, or has no limits."""
        return None if self.totals.good is None else part_of_asked(self.totals.good, self.due)

    def value(self, name: str) -> float | None:
        """A latency by its statistic, such as ttft_p95."""
        metric, _, stat = name.rpartition("_")
        found = self.distributions.get(metric)
        return found.stat(stat) if found is not None else None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a stage's tenants beside its records: weights by name (None: it is in the rows), objectives of
    their own, what all are judged by, prices."""

    weights: Mapping[str, float | None]
    objectives: Mapping[str, tuple[Objective, ...]]
    wanted: Wanted
    prices: Prices


def of_stage(run: Run, stage: Stage) -> dict[str, float | None]:
    """The tenants that the run file gives a stage, with their shares of its requests where they are drawn by weight."""
    entry: Mapping[str, Any] = next(
        (one for one in run.spec.get("prompts") or () if one.get("name") == stage.prompt_set), {})
    weights = _weights(entry.get("tenants"))
    if weights:
        return dict.fromkeys(weights) if entry.get("tenant_column") else dict(
            zip(weights, shares(list(weights.values())), strict=True))
    mix = (run.spec.get("load") or {}).get("mix") or ()
    if stage.mix is not None and stage.mix.component < len(mix):
        tenant = mix[stage.mix.component].get("tenant")
        if tenant is not None:
            return {tenant: None if entry.get("tenant_column") else 1.0}
    return {}


def _weights(given: Any) -> dict[str, float]:
    """Of a prompt set's entry; none where it was spoilt."""
    return {str(name): float(weight) for name, weight in given.items()
            if isinstance(weight, int | float) and weight > 0} if isinstance(given, Mapping) else {}


def by_tenant(table: Mapping[str, Any], requests: Requests, completed: Bools, window_ns: int,
              known: Known) -> tuple[TenantSummary, ...]:
    """A summary of each tenant, in order of their names, those without a request included; what belongs to none comes
    last. Empty where the stage has no tenants."""
    whose = table["tenant"]
    names = sorted({*known.weights, *(each for each in whose.counted() if each is not None)})
    if not names:
        return ()
    found = []
    for name in (*names, None):
        mine = whose == name
        if name is not None or mine.any():
            found.append(_summary(name, Part(table, mine), _requests(requests, mine), completed[mine], window_ns,
                                  known))
    return tuple(found)


def _requests(requests: Requests, mine: Bools) -> Requests:
    return Requests(Part(requests.metrics, mine), requests.in_window[mine], requests.ok[mine], requests.failed[mine])


def _summary(name: str | None, table: Mapping[str, Any], requests: Requests, completed: Bools, window_ns: int,
             known: Known) -> TenantSummary:
    own = known.objectives.get(name or NOBODY)
    objectives = own or tuple(one for one in known.wanted.objectives if one.level in ("request", "stage"))
    wanted = replace(known.wanted, objectives=objectives, percentiles=tuple(sorted({
        *known.wanted.percentiles, *(one.percentile for one in objectives if one.percentile is not None)})))
    totals = totals_of(window_ns, table, requests, completed, limits_of(objectives))
    due = inside(table["due"], window_ns) & np.isfinite(table["due"])
    good = requests.succeeded
    return TenantSummary(
        name or NOBODY, known.weights.get(name) if name is not None else None, int(due.sum()), totals,
        {metric.name: of_requests(finite(requests.metrics[metric.name], good), totals.failed, wanted)
         for metric in of_level("request")},
        dict(requests.outcome[requests.in_window].counted().most_common()), service_of(table, window_ns),
        len(requests.outcome), objectives, own is not None, judged(objectives, requests, table, {}),
        spend_of(table, completed, known.prices.of(name), window_ns))


def service_of(table: Mapping[str, Any], window_ns: int) -> float:
    """Tokens that the server worked on inside the window: of the input, of requests whose first token came in it."""
    answered = inside(table["answered"], window_ns)
    made = in_blocks(table, lambda some: np.maximum(
        np.nan_to_num(some["input_tokens"]) - np.nan_to_num(some["cached_tokens"]), 0.0))
    return float(INPUT_WEIGHT * made[answered].sum() + OUTPUT_WEIGHT * table["tokens_inside"].sum())


def good_of(tenants: Sequence[TenantSummary], totals: Totals) -> int | None:
    """The good requests of a stage, each by the limits of its tenant; one that has none is good when it ended well.
    None: nobody has limits."""
    if not any(one.own for one in tenants):
        return totals.good
    return sum(one.totals.completed if one.totals.good is None else one.totals.good for one in tenants)


def part_of_asked(got: int, asked: int) -> float | None:
    """Got ÷ asked; 1 at most, as what was asked for before the window may end in it. None where nothing was asked."""
    share = ratio(got, asked)
    return None if share is None else min(1.0, share)


@dataclass(frozen=True, slots=True)
class Fairness:
    """How evenly a figure is spread over the tenants that asked for something. `jain`: 1 when all have the same, 1 ÷
    their number when one has all. `least`: the one that has the least, its `share`, and `of_best`, what that is of the
    one that has the most."""

    jain: float
    tenants: int
    least: str
    share: float
    of_best: float


def fairness(values: Mapping[str, float | None]) -> Fairness | None:
    """Jain's index (Jain, Chiu, Hawe, DEC-TR-301, 1984): (Σx)² ÷ (n·Σx²). None for fewer than two tenants that asked,
    and where none got anything: nobody was preferred, and nobody served."""
    known = {name: value for name, value in values.items() if value is not None}
    total, squares = sum(known.values()), sum(value * value for value in known.values())
    if len(known) < 2 or not squares:
        return None
    least = min(known, key=lambda name: known[name])
    return Fairness(total * total / (len(known) * squares), len(known), least, known[least],
                    known[least] / max(known.values()))


@dataclass(frozen=True, slots=True)
class Shared:
    """Who shared an endpoint, over the components of a mix where it was one: sums by tenant."""

    due: Mapping[str, int]
    completed: Mapping[str, int]
    good: Mapping[str, int | None]

    @property
    def served(self) -> Fairness | None:
        """Of the shares of their requests that ended well."""
        return fairness({name: part_of_asked(self.completed[name], due) for name, due in self._asked()})

    @property
    def within(self) -> Fairness | None:
        """Of the shares that kept their limits; None where some tenant has none."""
        if any(self.good[name] is None for name, _ in self._asked()):
            return None
        return fairness({name: part_of_asked(self.good[name] or 0, due) for name, due in self._asked()})

    def _asked(self) -> list[tuple[str, int]]:
        """Those that asked for something, with how much."""
        return [(name, due) for name, due in self.due.items() if due and name != NOBODY]


def shared(tenants: Iterable[TenantSummary]) -> Shared:
    """The sums over some summaries, which may hold a tenant more than once."""
    due: Counter[str] = Counter()
    completed: Counter[str] = Counter()
    good: dict[str, int | None] = {}
    for one in tenants:
        due[one.name] += one.due
        completed[one.name] += one.totals.completed
        before = good.get(one.name, 0)
        good[one.name] = None if one.totals.good is None or before is None else before + one.totals.good
    return Shared(due, completed, good)


