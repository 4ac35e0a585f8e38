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


def best_by(metric: str, results: Iterable[StageResult]) -> dict[str, StageResult | None]:
    """By endpoint, the sound stage with the most of a metric that met its objectives, or had none; None where no stage
    did."""
    groups: dict[str, list[StageResult]] = {}
    for result in results:
        groups.setdefault(result.endpoint, []).append(result)
    return {endpoint: max((result for result in group if is_sound(result) and result.objectives in (None, "met")
                           and result.value(metric)), key=lambda result: result.value(metric) or 0.0, default=None)
            for endpoint, group in groups.items()}


def within_objectives(best: StageResult) -> str:
    """Words for a stage that `best_by` found: empty where it had no objectives."""
    return " within the objectives" if best.objectives == "met" else ""


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
    above = bracket(best, results)
    if above is not None:
        return Capacity(best, True, f"bracketed: {above.summary.stage.load_label} {_why(above)}")
    higher = any(_is_above(result, best) for result in results)
    what = "with a sound stage" if higher else "that was tried"
    return Capacity(best, False, f"not bracketed: {best.summary.stage.load_label} is the highest load {what}")


def bracket(best: StageResult, results: Iterable[StageResult]) -> StageResult | None:
    """The nearest higher load of the same endpoint, prompts, kind of load and parameters that tells something of the
    capacity: sound, or sure to have missed an objective, and not limited by the client. None: the true capacity may be
    higher than `best`."""
    higher = sorted((result for result in results if _is_above(result, best)), key=_load)
    return next((result for result in higher if result.totals.started and not result.client_bound
                 and (is_sound(result) or _missed(result))), None)


def _load(result: StageResult) -> float:
    return float(result.summary.stage.load.value)


def _is_above(result: StageResult, best: StageResult) -> bool:
    return _level(result) == _level(best) and _load(result) > _load(best)


def _level(result: StageResult) -> tuple[object, ...]:
    stage = result.summary.stage
    return stage.endpoint, stage.prompt_set, stage.load.kind, dict(stage.parameters)


def _missed(result: StageResult) -> list[str]:
    return [verdict.objective.name for verdict in result.verdicts if verdict.state == "missed"]


def _why(result: StageResult) -> str:
    missed = _missed(result)
    return f"missed {', '.join(missed)}" if missed else "gave no more"
