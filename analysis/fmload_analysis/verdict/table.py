"""A stage with all that was found out about it, and summary.csv."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmload.metrics.definitions import METRICS, Totals
from fmload.pricing.resolve import Pricing
from fmload_analysis.document import csv_table
from fmload_analysis.stage.summarize import StageSummary
from fmload_analysis.stage.tenants import TenantSummary
from fmload_analysis.verdict.cost import PRICES, Cost
from fmload_analysis.verdict.objectives import State, Verdict, state_of
from fmload_analysis.verdict.products import INPUTS, Product, product_of

STATISTICS = ("mean", "p50", "p90", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the audit. `group` is its number in the audit's list, `figures` what was compared."""

    group: int
    name: str
    result: str  # PASS, WARN, FAIL or NOT APPLICABLE
    sentence: str
    figures: dict[str, Any]
    client_bound: bool = False


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage: its summary, what it cost, whether it met the objectives, whether its numbers hold."""

    summary: StageSummary
    totals: Totals  # the summary's, priced
    pricing: Pricing | None
    cost: Cost
    verdicts: tuple[Verdict, ...] = ()
    checks: tuple[Check, ...] = ()
    tenants: tuple[TenantResult, ...] = ()

    @property
    def stage(self) -> int:
        """The stage's number."""
        return self.summary.stage.stage

    @property
    def endpoint(self) -> str:
        return self.summary.stage.endpoint

    @property
    def prompt_set(self) -> str:
        return self.summary.stage.prompt_set

    @property
    def load(self) -> str:
        """The load, and which of the runs of one stage it is: `4 users (run 2)`."""
        stage = self.summary.stage
        return stage.load_label + (f" (run {stage.repeat + 1})" if stage.repeat else "")

    @property
    def instance_type(self) -> str | None:
        """What serves the endpoint; None when the run file does not tell."""
        return self.pricing.instance_type if self.pricing and self.pricing.instance_type else (
            self.summary.endpoint.instance_type)

    @property
    def product(self) -> Product | None:
        """What its requests give in place of text; None where they generate text."""
        return product_of(self.totals)

    @property
    def embeds(self) -> bool:
        """Whether its requests had inputs to embed or to rank, and made no text."""
        return self.product is INPUTS

    @property
    def transcribes(self) -> bool:
        """Whether its requests sent sound, for its transcript."""
        return self.totals.sound is not None and not self.totals.sound.spoken

    @property
    def speaks(self) -> bool:
        """Whether its requests sent text, to be spoken."""
        return self.totals.sound is not None and self.totals.sound.spoken

    @property
    def objectives(self) -> State | None:
        """Whether all objectives together are met, missed or unknown; None when there are none."""
        return state_of(self.verdicts)

    @property
    def audit(self) -> str:
        """The worst of the checks: PASS, WARN or FAIL; FAIL when nothing was measured."""
        results = {check.result for check in self.checks}
        return next((result for result in ("FAIL", "WARN") if result in results), "PASS")

    @property
    def client_bound(self) -> bool:
        """True when the load generator was the limit: the stage is neither chosen nor ranked."""
        return any(check.client_bound for check in self.checks)

    def is_known(self, name: str) -> bool:
        """Whether a metric has a value, and enough samples for it: a percentile below its floor has not."""
        metric, _, stat = name.rpartition("_")
        distribution = self.summary.distributions.get(metric)
        return self.value(name) is not None and (distribution is None or distribution.is_known(stat))

    def value(self, name: str) -> float | None:
        """Any metric by its name (`ttft_p95`, `error_rate`, `price_per_transaction`), in its unit; None: unknown."""
        if name in PRICES:
            found: float | None = getattr(self.cost, name)
            return found
        if name in METRICS and METRICS[name].level == "stage":
            figure: float | None = METRICS[name].function(self.totals)
            return figure
        metric, _, stat = name.rpartition("_")
        distribution = self.summary.distributions.get(metric)
        return distribution.stat(stat) if distribution else None


@dataclass(frozen=True, slots=True)
class TenantResult:
    """One tenant in one stage: its requests, what they cost, whether they kept its objectives. `part`: its share of the
    endpoint's service, by which it bears the hours (`stage.tenants`)."""

    summary: TenantSummary
    totals: Totals  # the summary's, priced
    cost: Cost
    verdicts: tuple[Verdict, ...]
    part: float

    @property
    def objectives(self) -> State | None:
        """Whether all its objectives together are met, missed or unknown; None when there are none."""
        return state_of(self.verdicts)

    def value(self, name: str) -> float | None:
        """Any metric by its name, as of a stage."""
        if name in PRICES:
            price: float | None = getattr(self.cost, name)
            return price
        if name in METRICS and METRICS[name].level == "stage":
            figure: float | None = METRICS[name].function(self.totals)
            return figure
        return self.summary.value(name)


def without_text(results: Sequence[StageResult]) -> bool:
    """Whether no stage generated text: what is said of tokens and gaps is left out then."""
    return bool(results) and not any(result.totals.makes_text for result in results)


def only_product(results: Sequence[StageResult]) -> Product | None:
    """What all of the stages give; None where one generates text, or gives something else."""
    found = {result.product for result in results}
    return found.pop() if len(found) == 1 else None


_MEETS = {"met": True, "missed": False, "unknown": "unknown", None: None}
_LEADING = ("stage", "endpoint", "instance_type", "prompt_set", "concurrency", "achieved_concurrency", "window_s",
            "requests", "errors", "error_rate", "requests_per_s", "transactions_per_minute", "input_tokens_mean",
            "output_tokens_mean", "input_tokens_per_s", "output_tokens_per_s")
_LATENCIES = tuple(f"{metric}_{stat}_s" for metric in ("ttft", "tpot", "itl", "icl", "e2e") for stat in STATISTICS)
_PRICES = ("price_per_transaction", "price_per_token", "price_per_1m_output_tokens")
_FURTHER = (
    "step", "repeat", "load_kind", "load_value", "status", "n", "rate_per_s", "offered_per_s", "goodput_per_s",
    "cached_share", "output_tokens_per_s_per_accelerator", "client_bound", "pricing_source", "pricing_date", "region",
    "usd_per_hour",
    *(f"{metric}_{stat}_s" for metric in ("ttft_scheduled", "e2e_scheduled", "ttfa") for stat in STATISTICS),
    *(f"{metric}_{stat}_with_failures_s" for metric in ("ttft", "e2e") for stat in ("p50", "p90", "p95", "p99")),
    *(f"{metric}_{stat}_interval_{side}_s" for metric in ("ttft", "tpot", "e2e")
      for stat in ("p50", "p90", "p95", "p99") for side in ("low", "high")),
    *(f"itl_{stat}_{side}_s" for stat in ("p50", "p90", "p95", "p99") for side in ("low", "high")),
    "censored_share", "slower_than_threshold",
    "send_lateness_p50_s", "send_lateness_p99_s", "late", "never_sent", *(p for p in PRICES if p not in _PRICES),
    "stage_usd", "outside_usd", "failed_usd", "cancelled_usd",
    "outcomes", "tokens_source", "below_floor", "window_closed", "search_verdict",
    "sessions_finished", "sessions_failed", "sessions_cut", "session_finished_share", "sessions_per_minute",
    *(f"session_duration_{stat}_s" for stat in STATISTICS), "price_per_finished_session",
    "inputs_mean", "inputs_per_s", "price_per_1m_inputs",
    *(f"{metric}_{stat}_s" for metric in ("first_text", "first_audio") for stat in STATISTICS),
    *(f"real_time_factor_{stat}" for stat in STATISTICS), "audio_mean", "characters_mean", "audio_per_s",
    "characters_per_s", "stutter_share", "stalls_mean", "stalled_mean_s", "stalled_p99_s",
    "price_per_audio_hour", "price_per_audio_minute", "price_per_1m_characters",
    "images_mean", "images_per_minute", *(f"{metric}_{stat}_s" for metric in ("time_per_image", "ttfi")
                                          for stat in STATISTICS), "price_per_1k_images",
    "images_in_mean", "images_in_per_s", "media_bytes_mean", "media_bytes_per_s", "media_duration_mean_s",
    "image_tokens_mean", "audio_tokens_mean", "video_tokens_mean")
_EXTENDED = tuple(column for metric in METRICS.further for column in metric.columns(STATISTICS))
SUMMARY_COLUMNS = (*_LEADING, *_LATENCIES, *_PRICES, "meets_objectives", "audit", *_FURTHER, *_EXTENDED)
_TEXTS = ("endpoint", "instance_type", "prompt_set", "meets_objectives", "audit", "load_kind", "status",
          "pricing_source", "pricing_date", "region", "outcomes", "tokens_source", "below_floor", "window_closed",
          "search_verdict")
_WHOLE = ("stage", "step", "repeat", "requests", "errors", "n")  # numbers that every stage has
STAGE_COLUMNS = {name: "object" if name in _TEXTS else "int64" if name in _WHOLE else
                 "bool" if name == "client_bound" else "float64" for name in SUMMARY_COLUMNS}
"""Column of summary.csv → dtype in a DataFrame, in order: `object` is text (or None; `meets_objectives` is True, False,
"unknown" or None), `float64` has NaN where a figure is not known."""


def summary_row(result: StageResult) -> dict[str, Any]:
    """One row of summary.csv: SUMMARY_COLUMNS to values, None where unknown or blank."""
    fixed = _fixed(result)
    return {name: fixed[name] if name in fixed else _measured(result, name) for name in SUMMARY_COLUMNS}


def _fixed(result: StageResult) -> dict[str, Any]:
    summary, stage, pricing = result.summary, result.summary.stage, result.pricing
    below = {f"{name}_p{p:g}" for name, found in summary.distributions.items() for p in found.below_floor}
    return {
        "stage": stage.stage, "endpoint": stage.endpoint, "instance_type": result.instance_type,
        "prompt_set": stage.prompt_set, "concurrency": stage.concurrency, "window_s": result.totals.window_s,
        "requests": result.totals.succeeded + result.totals.failed, "errors": result.totals.failed,
        "meets_objectives": _MEETS[result.objectives], "audit": result.audit, "step": stage.step,
        "repeat": stage.repeat, "load_kind": stage.load.kind, "load_value": stage.load.value,
        "status": stage.status, "n": result.totals.succeeded, "rate_per_s": stage.rate_per_s,
        "offered_per_s": summary.offered_per_s, "late": summary.evidence.late if summary.asked is not None else None,
        "never_sent": summary.never_sent,
        "client_bound": result.client_bound, "pricing_source": pricing.source if pricing else None,
        "pricing_date": pricing.date if pricing else None, "region": pricing.region if pricing else None,
        "usd_per_hour": pricing.usd_per_hour if pricing else None, "censored_share": summary.censored_share,
        "slower_than_threshold": summary.slower_than_threshold,
        "stage_usd": result.cost.stage_usd, "outside_usd": result.cost.outside_usd,
        "failed_usd": result.cost.failed_usd, "cancelled_usd": result.cost.cancelled_usd,
        "outcomes": json.dumps(dict(summary.outcomes)),
        "tokens_source": "+".join(sorted(summary.evidence.tokens_source)) or None,
        "below_floor": " ".join(sorted(below)) or None, "window_closed": stage.window_closed,
        "search_verdict": stage.verdict.result if stage.verdict else None,
        "sessions_finished": result.totals.sessions_finished, "sessions_failed": result.totals.sessions_failed,
        "sessions_cut": summary.sessions.whole.cut if summary.sessions else None,
    }


def _measured(result: StageResult, column: str) -> float | None:
    if column.endswith("_with_failures_s"):
        metric, stat = column.removesuffix("_with_failures_s").rsplit("_", 1)
        return (result.summary.distributions[metric].with_failures or {}).get(float(stat[1:]))
    if "_interval_" in column:
        metric, stat, _, side, _ = column.rsplit("_", 4)
        return getattr(result.summary.distributions[metric].intervals.get(float(stat[1:])), side, None)
    if column.endswith(("_low_s", "_high_s")):
        metric, stat, side, _ = column.rsplit("_", 3)
        return (getattr(result.summary.distributions[metric], side) or {}).get(float(stat[1:]))
    name = column.removesuffix("_s") if column not in METRICS else column
    return result.value(name)


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Rows of `summary_row` as CSV; None is an empty cell, infinity `inf`."""
    csv_table.write(path, SUMMARY_COLUMNS, ({name: _cell(value) for name, value in row.items()} for row in rows))


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return float(f"{value:.10g}") if isinstance(value, float) else value
