"""The capacity of an endpoint as measured: its best sound stage within the objectives, and whether it is bracketed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmload_analysis.verdict.objections import objections
from fmload_analysis.verdict.table import StageResult


@dataclass(frozen=True, slots=True)
class Capacity:
    """The most that was measured within the objectives. `bracketed`: a higher load was tried, and did not do better;
    else the true capacity may be higher than `result`. `how` says it in words."""

    result: StageResult
    bracketed: bool
    how: str

    @property
    def requests_per_s(self) -> float:
        """Requests per second that ended well."""
        return self.result.value("requests_per_s") or 0.0


def is_sound(result: StageResult) -> bool:
    """Whether numbers may be drawn from the stage: its audit did not fail, and the client was not its limit."""
    return result.audit != "FAIL" and not result.client_bound


def capacities(results: Iterable[StageResult]) -> dict[tuple[str, str], Capacity]:
    """By endpoint and prompt set, the sound stage with the highest throughput that meets the objectives."""
    groups: dict[tuple[str, str], list[StageResult]] = {}
    for result in results:
        groups.setdefault((result.endpoint, result.prompt_set), []).append(result)
    found = {key: capacity_of(group) for key, group in groups.items()}
    return {key: one for key, one in found.items() if one is not None}


def capacity_of(results: Sequence[StageResult]) -> Capacity | None:
    """The capacity that the stages of one endpoint and prompt set show; None where none of them is of use."""
    fit = [result for result in results
           if not objections(result) and result.value("requests_per_s")]
    if not fit:
        return None
    best = max(fit, key=lambda result: result.value("requests_per_s") or 0.0)
    higher = sorted((result for result in results if _above(result, best)), key=_load)
    for result in higher:
        if result.totals.started and not result.client_bound and (is_sound(result) or _missed(result)):
            return Capacity(best, True, f"bracketed: {result.summary.stage.load_label} {_why(result)}")
    what = "with a sound stage" if higher else "that was tried"
    return Capacity(best, False, f"not bracketed: {best.summary.stage.load_label} is the highest load {what}")


def _load(result: StageResult) -> float:
    return float(result.summary.stage.load.value)


def _above(result: StageResult, best: StageResult) -> bool:
    kinds = result.summary.stage.load.kind, best.summary.stage.load.kind
    return kinds[0] == kinds[1] and _load(result) > _load(best)


def _missed(result: StageResult) -> list[str]:
    return [verdict.objective.name for verdict in result.verdicts if verdict.state == "missed"]


def _why(result: StageResult) -> str:
    missed = _missed(result)
    return f"missed {', '.join(missed)}" if missed else "gave no more"
