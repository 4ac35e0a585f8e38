"""What the searches of a run found, by endpoint and prompt set: the answer in a sentence, and the stages behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fmload.base.units import format_users
from fmload.model.stage import Stage
from fmload.model.verdict import Judged, Observed
from fmload.search.bracket import Bracket, bracket_of
from fmload.search.knee import Point, knee_of
from fmload.search.planner import points_of, tried
from fmload_analysis.document import formats


@dataclass(frozen=True, slots=True)
class Search:
    """One search. `answer` is the highest load that meets, or the knee; None where there is none."""

    endpoint: str
    prompt_set: str
    over: str
    stages: tuple[Stage, ...]
    answer: float | None
    around: Bracket
    sentence: str

    @property
    def seeks_knee(self) -> bool:
        """Whether it looked for the knee; else for the highest load that meets the objectives."""
        return self.objective is None

    @property
    def objective(self) -> Mapping[str, Any] | None:
        """The limits as the run file has them; None where the knee was looked for."""
        return self.stages[0].find.objective if self.stages[0].find else None


def searches(stages: Iterable[Stage]) -> list[Search]:
    """All searches of a run, in the order in which they began; stages that were not finished are left out."""
    lines: dict[tuple[str, str], list[Stage]] = {}
    for stage in stages:
        if stage.find is not None and stage.status == "done":
            lines.setdefault((stage.endpoint, stage.prompt_set), []).append(stage)
    return [_search(*line, tuple(done)) for line, done in lines.items()]


def _search(endpoint: str, prompt_set: str, done: tuple[Stage, ...]) -> Search:
    over = done[0].load.kind
    if done[0].find is None or done[0].find.objective is None:
        knee, around = knee_of(points_of(done))
        answer = knee.load if knee.power > 0 else None
        return Search(endpoint, prompt_set, over, done, answer, around, _knee_sentence(over, knee, around, done))
    around = bracket_of(tried(stage) for stage in done)
    return Search(endpoint, prompt_set, over, done, around.low, around, _sentence(over, around, done))


def _sentence(over: str, around: Bracket, done: tuple[Stage, ...]) -> str:
    find = done[0].find
    assert find is not None
    limits = " and ".join(f"{name} ≤ {limit}" for name, limit in (find.objective or {}).items())
    above = next((stage for stage in done if stage.load.value == around.high), None)
    sure = f"every verdict at {formats.percent(find.confidence)} confidence, {formats.several(len(done), 'stage')}"
    if around.low is None:
        if around.high is None:
            return (f"No load was found that meets {limits}: none could be told in the time given (window, extend; "
                    f"{sure}).")
        return (f"No load was found that meets {limits}: at the lowest, {_load(around.high, over)}, {_why(above)} "
                f"({sure}).")
    found = f"The highest load that meets {limits} is {_load(around.low, over)}"
    if above is None:
        return f"{found}, the highest that was tried; the limit lies above ({sure})."
    return f"{found}; at {_load(above.load.value, over)} {_why(above)} ({sure})."


def _load(value: float, over: str) -> str:
    """`1 user`, `64 users`, `2.5 requests/s`."""
    return f"{value:g} requests/s" if over == "rate" else format_users(value)


def _why(stage: Stage | None) -> str:
    """Why a load does not count as one that meets: `ttft_p95 is 1.2 s, at least 1.1 s`."""
    verdict = stage.verdict if stage else None
    if verdict is None or verdict.result != "fails":
        return "it could not be told in the time given (window, extend)"
    if verdict.reason:
        return verdict.reason
    return " and ".join(_missed(one) for one in verdict.judged if one.result == "fails")


def _missed(judged: Judged) -> str:
    shown = formats.percent if judged.name == "error_rate" else formats.duration
    value = "held by a failed request" if judged.value is None else shown(judged.value)
    least = "" if judged.low is None else f", at least {shown(judged.low)}"
    return f"{judged.name} is {value}{least}"


def _knee_sentence(over: str, knee: Point, around: Bracket, done: tuple[Stage, ...]) -> str:
    if knee.power <= 0:
        return "No request was completed: there is no knee."
    best = max(done, key=lambda stage: (stage.observed or Observed()).requests_per_s or 0.0)
    seen = best.observed or Observed()
    reach = "" if seen.low is None or seen.high is None else (
        f" (95 % interval {formats.significant(seen.low)} to {formats.significant(seen.high)})")
    between = " and ".join(f"{end:g}" for end in (around.low, around.high) if end is not None)
    highest = formats.significant(seen.requests_per_s or 0.0)
    return (f"The knee, where throughput ÷ latency is highest, is at {_load(knee.load, over)}, between {between}: "
            f"{formats.significant(knee.requests_per_s)} requests/s at {formats.duration(knee.latency_s)} mean E2E "
            f"latency. The highest throughput, {highest} requests/s{reach}, came at "
            f"{_load(best.load.value, over)}.")
