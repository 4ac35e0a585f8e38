"""Were the answers of each candidate right, at the load that is recommended? And what does a right one cost?

Pure but for `graded`, which reads a trial's folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmload.model.stack import StackSearch
from fmload.statistics.intervals import Interval, wilson
from fmload_analysis.evaluate.cases import load_cases
from fmload_analysis.evaluate.differences import LEAST, paired
from fmload_analysis.evaluate.graders import rule_for, rules_of
from fmload_analysis.run import Run
from fmload_analysis.stacks.ranking import Ranked, default_of

Correct = Mapping[str, float]  # by prompt, the share of its answers that are right


@dataclass(frozen=True, slots=True)
class Quality:
    """Of a candidate: `share` of `n` prompts answered right, with its interval; `difference` to the default candidate
    over the `shared` prompts that both answered (None: it is the default, or they share too few); `usd_per_correct`:
    the price of a transaction ÷ share (None: unknown, or nothing was right)."""

    candidate: str
    n: int
    share: float
    interval: Interval
    usd_per_correct: float | None
    shared: int = 0
    difference: float | None = None
    difference_interval: Interval | None = None

    @property
    def is_worse(self) -> bool:
        """Whether its interval shows that it is right less often than the default."""
        return self.difference_interval is not None and (self.difference_interval.high or 0.0) < 0


def graded(run: Run, stage: int | None) -> dict[str, Any]:
    """For a trial's facts: what is right of the answers of one stage, by prompt; empty where no answers with a ground
    truth were kept, or may not be judged."""
    if stage is None or not run.results.answers_parquet.exists():
        return {}
    found: dict[str, list[float]] = defaultdict(list)
    rules = rules_of(run.spec.get("prompts") or [])
    for case in load_cases(run.results):
        rule = rule_for(rules, case.prompt_set)
        if case.stage == stage and rule is not None and rule.judges(case):
            found[case.prompt_id].append(rule.share(case))
    return {"graded": {name: sum(each) / len(each) for name, each in sorted(found.items())}} if found else {}


def qualities(search: StackSearch, found: Sequence[Ranked]) -> list[Quality]:
    """Of every measured candidate whose answers were judged, in the order of the ranking."""
    default = default_of(search, found)
    base: Correct = default.trial.facts.get("graded", {}) if default is not None else {}
    return [_of(one, {} if one is default else base) for one in found if one.trial.facts.get("graded")]


def _of(one: Ranked, base: Correct) -> Quality:
    mine: Correct = one.trial.facts["graded"]
    share = sum(mine.values()) / len(mine)
    price = one.trial.facts.get("price_per_transaction")
    usd = None if price is None or share == 0 else price / share
    shared = [prompt for prompt in mine if prompt in base]
    if len(shared) < LEAST:
        return Quality(one.candidate.name, len(mine), share, wilson(share, len(mine)), usd, len(shared))
    difference, interval = paired([mine[prompt] for prompt in shared], [base[prompt] for prompt in shared])
    return Quality(one.candidate.name, len(mine), share, wilson(share, len(mine)), usd, len(shared), difference,
                   interval)
