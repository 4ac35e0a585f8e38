"""Two runs side by side: how much each metric changed, whether by more than chance, and whether for the worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.base import neutral
from fmload.base.errors import FmloadError
from fmload.metrics.definitions import METRICS, Floats, Metric
from fmload.statistics.intervals import Interval
from fmload.statistics.steady_state import mann_whitney
from fmload_analysis.document import formats
from fmload_analysis.stage.stats import finite
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.cost import PRICES
from fmload_analysis.verdict.objectives import State, state_of
from fmload_analysis.verdict.products import PRODUCTS
from fmload_analysis.verdict.repeats import Key, grouped, spread
from fmload_analysis.verdict.table import StageResult

# Those that no stage of either run has are left out: a run gives text, or vectors, images or sound.
_OF_OTHERS = ("first_text_p50", "first_text_p95", "first_audio_p50", "first_audio_p95", "real_time_factor_p50",
              "real_time_factor_p95", "ttfi_p50", "time_per_image_p50", *(product.rate for product in PRODUCTS),
              "stutter_share", *(product.price for product in PRODUCTS))
DEFAULT_METRICS = ("ttft_p50", "ttft_p95", "tpot_p50", "e2e_p50", "e2e_p95", "requests_per_s", "output_tokens_per_s",
                   "error_rate", "price_per_transaction", *_OF_OTHERS)
SIGNIFICANCE = 0.01


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of one stage in both runs. `change` is relative to the baseline, None from 0 or where a side is
    unknown. `significant` is None where it cannot be told; `effect` is the probability that a request of the candidate
    takes longer than one of the baseline."""

    stage: str
    metric: str
    baseline: float | None
    candidate: float | None
    change: float | None
    significant: bool | None
    method: str
    effect: float | None
    audit: str  # FAIL when either side failed its audit

    @property
    def worse(self) -> bool:
        """True for a change in the wrong direction."""
        if self.baseline is None or self.candidate is None:
            return False
        rising = self.candidate > self.baseline
        return self.candidate != self.baseline and rising == (better_of(self.metric) == "lower")


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a stage met the objectives of its run, in both runs: met, missed or unknown (the worst of repeats); None
    where its run has none."""

    stage: str
    baseline: State | None
    candidate: State | None

    @property
    def broken(self) -> bool:
        """Met by the baseline, and missed by the candidate; unknown is not missed."""
        return self.baseline == "met" and self.candidate == "missed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences of two runs, what only one of them has, and how their environments differ."""

    baseline: str
    candidate: str
    differences: tuple[Difference, ...]
    only_baseline: tuple[str, ...]
    only_candidate: tuple[str, ...]
    unlike: tuple[str, ...]
    judged: tuple[Judged, ...] = ()  # stages that have objectives in either run

    @property
    def broken(self) -> tuple[Judged, ...]:
        """Stages that met their objectives and miss them now."""
        return tuple(each for each in self.judged if each.broken)

    def regressions(self, threshold: float) -> tuple[Difference, ...]:
        """Significant changes for the worse of more than `threshold` (0.05: 5 %), or from nothing to something."""
        return tuple(found for found in self.differences if found.worse and found.significant
                     and (found.change is None or abs(found.change) > threshold))


def better_of(metric: str) -> str | None:
    """`lower` or `higher`; None for metrics that are neither."""
    if metric in PRICES:
        return "lower"
    return _metric(metric).better


def _metric(metric: str) -> Metric:
    """That of `ttft_p95` is `ttft`."""
    return METRICS[metric if metric in METRICS else metric.rpartition("_")[0]]


def compare(baseline: Analysis, candidate: Analysis, metrics: Sequence[str] = DEFAULT_METRICS,
            force: bool = False) -> Comparison:
    """The candidate against the baseline, stage by stage, repeats taken together.

    Raises FmloadError when the runs were made in unlike environments or of unlike prompts, unless forced.
    """
    unlike = unlikenesses(baseline, candidate)
    if unlike and not force:
        raise FmloadError("these runs are not alike: " + "; ".join(unlike),
                          hint="differences may come from that; --force compares them all the same")
    before, after = grouped(baseline.results), grouped(candidate.results)
    differences = [_difference(key, before[key], after[key], metric)
                   for key in before if key in after for metric in metrics]
    return Comparison(
        baseline.run.results.root.name, candidate.run.results.root.name,
        tuple(found for found in differences if found.baseline is not None or found.candidate is not None),
        tuple(_name(before[key]) for key in before if key not in after),
        tuple(_name(after[key]) for key in after if key not in before), tuple(unlike),
        tuple(judged for key in before if key in after
              if (judged := _judged(before[key], after[key])).baseline or judged.candidate))


def _judged(before: Sequence[StageResult], after: Sequence[StageResult]) -> Judged:
    states = [state_of(verdict for result in side for verdict in result.verdicts) for side in (before, after)]
    return Judged(_name(before), *states)


def unlikenesses(a: Analysis, b: Analysis) -> list[str]:
    """What differs between two runs that is not what they measured: the client, the emulation, the prompts."""
    found = [f"{name}: {_told(a.run.environment.get(name))} and {_told(b.run.environment.get(name))}"
             for name in ("fmload", "cpus", "emulated") if a.run.environment.get(name) != b.run.environment.get(name)]
    if _plain(a.run.spec.get("prompts")) != _plain(b.run.spec.get("prompts")):  # another seed draws from the same
        found.append("prompts of the run files differ")
    return found


def _told(value: Any) -> str:
    """`a as llama3-8b, b as gpt` of what is emulated, else as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{name} as {what}" for name, what in value.items()) or "nothing"
    return str(value)


def _plain(value: Any) -> str:
    return repr(value)


def _name(results: Sequence[StageResult]) -> str:
    first = results[0]
    return f"{first.endpoint} · {first.prompt_set} · {first.summary.stage.load_label}"


def _difference(key: Key, before: Sequence[StageResult], after: Sequence[StageResult], metric: str) -> Difference:
    old, new = spread(before, metric), spread(after, metric)
    a, b = old.mean if old else None, new.mean if new else None
    significant, method, effect = _significance(before, after, metric)
    failed = any(result.audit == "FAIL" for result in (*before, *after))
    return Difference(_name(before), metric, a, b, (b - a) / a if a and b is not None else None, significant, method,
                      effect, "FAIL" if failed else "")


Significance = tuple[bool | None, str, float | None]


def _significance(before: Sequence[StageResult], after: Sequence[StageResult], metric: str) -> Significance:
    name, _, stat = metric.rpartition("_")
    if name in METRICS and METRICS[name].level == "request":
        return _of_requests(before, after, name, stat)
    if metric == "error_rate":
        return _of_shares(before, after)
    if metric in METRICS or metric in PRICES:
        by_token = metric.startswith(("output_tokens_per_s", "price_per_1m_output"))
        rate = "output_tokens_per_s" if by_token else "requests_per_s"
        return _of_intervals(*([result.summary.intervals.get(rate) for result in side] for side in (before, after)))
    return None, "not tested", None


def _of_requests(before: Sequence[StageResult], after: Sequence[StageResult], name: str, stat: str) -> Significance:
    """Mean and median by Mann–Whitney over the requests; tails by their order-statistic intervals, which must part."""
    test = mann_whitney(_values(before, name), _values(after, name))
    effect = test.effect if test else None
    if stat in ("mean", "p50"):
        return (test.p_value < SIGNIFICANCE if test else None), "Mann–Whitney", effect
    percentile = float(stat.removeprefix("p")) if stat.startswith("p") else None
    parted, _, _ = _of_intervals(*([result.summary.distributions[name].intervals.get(percentile or -1.0)
                                    for result in side] for side in (before, after)))
    return parted, "order-statistic intervals", effect


def _values(results: Sequence[StageResult], name: str) -> Floats:
    """The requests' values: at most 2,000 of each stage, evenly drawn."""
    values = [result.summary.sample.metrics[name][result.summary.sample.succeeded] for result in results]
    return finite(np.concatenate(values))


def _of_intervals(before: Sequence[Interval | None], after: Sequence[Interval | None]) -> Significance:
    """95 % intervals that do not overlap (of every repeat): stricter than a test at 5 %."""
    a, b = _hull(before), _hull(after)
    parted = None if a is None or b is None else a[1] < b[0] or b[1] < a[0]
    return parted, "batch-means intervals", None


def _hull(intervals: Sequence[Interval | None]) -> tuple[float, float] | None:
    """From the lowest low to the highest high; None where no interval has both ends."""
    ends = [(found.low, found.high) for found in intervals
            if found and found.low is not None and found.high is not None]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def _of_shares(before: Sequence[StageResult], after: Sequence[StageResult]) -> Significance:
    """Two proportions, pooled variance."""
    (failed_a, n_a), (failed_b, n_b) = ((sum(r.totals.failed for r in side),
                                         sum(r.totals.failed + r.totals.succeeded for r in side))
                                        for side in (before, after))
    if not n_a or not n_b:
        return None, "two proportions", None
    pooled = (failed_a + failed_b) / (n_a + n_b)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    z = abs(failed_a / n_a - failed_b / n_b) / error if error else 0.0
    return math.erfc(z / math.sqrt(2)) < SIGNIFICANCE, "two proportions", None


_LEGEND = (
    "Significant: p < 1 % by Mann–Whitney over requests (means, medians) or two proportions (error rate); 95 % "
    "intervals that do not overlap for tails (order statistics) and rates (batch means). P(slower): the probability "
    "that a request of the candidate takes longer than one of the baseline; 50 % is no difference.")


def as_markdown(found: Comparison, threshold: float | None = None) -> str:
    """A table fit for a pull request: regressions first, then everything."""
    lines = [f"### {found.candidate} against {found.baseline}", ""]
    if found.unlike:
        lines += ["**Unlike environments**, compared by force: " + "; ".join(found.unlike), ""]
    if threshold is not None:
        regressions = found.regressions(threshold)
        told = f"**{len(regressions)} regressions** of more than {threshold:.0%}." if regressions else (
            f"No regression of more than {threshold:.0%}.")
        told += f" **{len(found.broken)} stages no longer meet their objectives.**" if found.broken else ""
        lines += [told, ""]
    lines += ["| stage | metric | baseline | candidate | change | significant | P(slower) |",
              "|---|---|---:|---:|---:|---|---:|"]
    lines += [_line(difference) for difference in found.differences]
    lines += [f"| {each.stage} | objectives | {each.baseline or 'none'} | {each.candidate or 'none'} |  | "
              f"{'worse' if each.broken else ''} |  |" for each in found.judged]
    for what, names in (("Only in the baseline", found.only_baseline), ("Only in the candidate", found.only_candidate)):
        lines += ["", f"{what}: {', '.join(names)}"] if names else []
    lines += ["", _LEGEND]
    return "\n".join(map(neutral.markdown, lines)) + "\n"


def _line(difference: Difference) -> str:
    change = "n/a" if difference.change is None else f"{difference.change:+.1%}"
    mark = {True: "yes", False: "no", None: "unknown"}[difference.significant]
    if difference.significant and difference.worse:
        mark += ", worse"
    elif difference.significant and better_of(difference.metric):
        mark += ", better"
    effect = "" if difference.effect is None else f"{difference.effect:.0%}"
    stage = difference.stage + (" (failed its audit)" if difference.audit == "FAIL" else "")
    before, after = (_shown(difference.metric, value) for value in (difference.baseline, difference.candidate))
    return (f"| {stage} | {difference.metric} | {before} | {after} | {change} | {mark} | {effect} |")


def _shown(metric: str, value: float | None) -> str:
    """With its unit where it has one: 101 ms, 0.4 %, $0.0000425."""
    return formats.text(value, formats.of_unit("USD" if metric in PRICES else _metric(metric).unit, _four))


def _four(value: float) -> str:
    return formats.significant(value, 4)
