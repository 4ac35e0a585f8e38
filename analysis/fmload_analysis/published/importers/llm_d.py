"""llm-d's benchmark report (BR 0.1, 0.2 and 0.2.1; YAML or JSON): `results.request_performance.aggregate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping

NOTES = ("a report of another tool's run: `scenario.load` names it",)
_LATENCIES = {"time_to_first_token": "ttft", "time_per_output_token": "tpot", "inter_token_latency": "icl",
              "request_latency": "e2e", "normalized_time_per_output_token": "normalized_tpot"}
_RATES = {"request_rate": ("transactions_per_minute", 60.0), "output_token_rate": ("output_tokens_per_s", 1.0),
          "input_token_rate": ("input_tokens_per_s", 1.0), "total_token_rate": ("total_tokens_per_s", 1.0)}
_OLD_RATES = {"requests_per_sec": ("transactions_per_minute", 60.0), "output_tokens_per_sec":
              ("output_tokens_per_s", 1.0), "input_tokens_per_sec": ("input_tokens_per_s", 1.0),
              "total_tokens_per_sec": ("total_tokens_per_s", 1.0)}


class LLMD:
    """Reads llm-d's benchmark reports."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By its sections."""
        if source.is_json:
            return "scenario" in source.first and ("results" in source.first or "metrics" in source.first)
        return "\nscenario:" in f"\n{source.text}" and ("request_performance:" in source.text or
                                                        "\nmetrics:" in source.text)

    @staticmethod
    def read(source: Source) -> Published:
        """The report's one row."""
        content = source.first if source.is_json else mapping(source.yaml, str(source.path))
        return Published("llm-d", source.path, [_row(content, str(source.path))], NOTES)


def _row(content: Mapping[str, Any], where: str) -> Row:
    figures = Figures(where)
    results = mapping(content.get("results"), f"{where}: results")
    performance = mapping(results.get("request_performance"), f"{where}: request_performance")
    found = mapping(performance.get("aggregate") or content.get("metrics"), f"{where}: aggregate")
    requests, rates, latencies = (mapping(found.get(name), f"{where}: {name}") for name in (
        "requests", "throughput", "latency"))
    _requests(figures, requests, where)
    for theirs, (ours, scale) in _RATES.items():
        told = mapping(rates.get(theirs), f"{where}: {theirs}")
        figures.put(ours, json_number(told.get("mean"), f"{where}: {theirs}"), theirs, scale)
    for theirs, (ours, scale) in _OLD_RATES.items():
        figures.take(ours, rates, theirs, scale)
    for theirs, ours in _LATENCIES.items():
        stats = mapping(latencies.get(theirs), f"{where}: {theirs}")
        figures.stats(ours, stats, theirs, 1e-3 if str(stats.get("units", "")).startswith("ms") else 1.0)
    _load(figures, content, where)
    return figures.row(date=_date(content))


def _requests(figures: Figures, requests: Mapping[str, Any], where: str) -> None:
    figures.take("requests", requests, "total")
    figures.take("errors", requests, "failures")
    figures.take("incomplete", requests, "incomplete")
    for theirs, ours in (("input_length", "input_tokens"), ("output_length", "output_tokens")):
        figures.stats(ours, mapping(requests.get(theirs), f"{where}: {theirs}"), theirs)


def _load(figures: Figures, content: Mapping[str, Any], where: str) -> None:
    scenario = mapping(content.get("scenario"), f"{where}: scenario")
    load = scenario.get("load")
    known = load.get("standardized") if isinstance(load, dict) else None
    if isinstance(known, dict):
        figures.take("concurrency", known, "concurrency")
        figures.take("offered_per_s", known, "rate_qps")


def _date(content: Mapping[str, Any]) -> str | None:
    run = content.get("run")
    time = run.get("time") if isinstance(run, dict) else None
    start = time.get("start") if isinstance(time, dict) else None
    return str(start)[:10] if start else None
