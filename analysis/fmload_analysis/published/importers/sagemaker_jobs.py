"""Jobs of SageMaker AI that measure: `describe-ai-recommendation-job` and `describe-inference-recommendations-job`.

The shapes are botocore's (1.44.5); of the metrics' names, which are free text there, the developer guide shows one
(`throughput`, average, tokens/second), and the constraints of a job name two more (`ttft-ms`, `cost`). No answer of a
real job was at hand. An AI benchmark job tells no figures: AIPerf runs inside of it and leaves `output.tar.gz` in S3,
which is read as AIPerf's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fmload.base.errors import FmloadError
from fmload_analysis.published.rows.figures import JSON_STATS, Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping, sequence

NOTES = ("a recommendation's figures are expected by SageMaker from its own benchmark, rounded as it tells them",
         "Inference Recommender's latency is the model's, without the network; its invocations are the most a minute")
_LATENCIES = {"ttft": "ttft", "time_to_first_token": "ttft", "itl": "tpot", "inter_token_latency": "tpot",
              "tpot": "tpot", "request_latency": "e2e", "latency": "e2e", "e2e_latency": "e2e"}
_RATES = {"throughput": "output_tokens_per_s", "output_token_throughput": "output_tokens_per_s",
          "request_throughput": "transactions_per_minute"}
_UNITS = {"ms": 1e-3, "milliseconds": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "second": 1.0,
          "us": 1e-6, "microseconds": 1e-6}


class SageMakerJobs:
    """Reads the JSON that the AWS command line prints of such a job."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of the jobs' fields."""
        return source.is_json and any(name in source.first for name in (
            "AIRecommendationJobName", "AIBenchmarkJobName", "InferenceRecommendations", "EndpointPerformances"))

    @staticmethod
    def read(source: Source) -> Published:
        """A row a recommendation. Raises FmloadError for a job that tells no figures."""
        content, where = source.first, str(source.path)
        if "AIBenchmarkJobName" in content:
            raise FmloadError(f"{where}: an AI benchmark job tells no figures; they are in {_location(content)}",
                              hint="aws s3 cp --recursive that folder, and give output.tar.gz")
        found = [_expected(mapping(one, where), f"{where}: Recommendations[{at}]") for at, one in enumerate(
            sequence(content.get("Recommendations"), f"{where}: Recommendations"))]
        for name in ("InferenceRecommendations", "EndpointPerformances"):
            found += [_measured(mapping(one, where), f"{where}: {name}[{at}]") for at, one in enumerate(
                sequence(content.get(name), f"{where}: {name}"))]
        if not found:
            status = content.get("AIRecommendationJobStatus") or content.get("Status") or "unknown"
            raise FmloadError(f"{where} has no recommendations; the job's status is {status}",
                              hint=str(content.get("FailureReason") or "describe the job again when it is Completed"))
        return Published("sagemaker-jobs", source.path, found, NOTES)


def _location(content: Mapping[str, Any]) -> str:
    config = content.get("OutputConfig")
    return str((config if isinstance(config, dict) else {}).get("S3OutputLocation") or "its S3OutputLocation")


def _expected(one: Mapping[str, Any], where: str) -> Row:
    figures = Figures(where)
    for at, entry in enumerate(sequence(one.get("ExpectedPerformance"), f"{where}.ExpectedPerformance")):
        _metric(figures, mapping(entry, where), f"{where}.ExpectedPerformance[{at}]")
    deployment = mapping(one.get("DeploymentConfiguration"), f"{where}.DeploymentConfiguration")
    figures.take("instance_count", deployment, "InstanceCount")
    instance = deployment.get("InstanceType")
    return figures.row(f"recommended: {instance or where.rpartition(': ')[2]}", instance_type=instance)


def _metric(figures: Figures, entry: Mapping[str, Any], where: str) -> None:
    """One `{Metric, Stat, Value, Unit}`; what is of another name keeps it."""
    name = re.sub(r"[^a-z0-9]+", "_", str(entry.get("Metric") or "").lower()).strip("_")
    unit = str(entry.get("Unit") or "").lower()
    base, _, in_name = name.rpartition("_")
    if in_name in _UNITS and base in _LATENCIES:
        name, unit = base, unit or in_name
    stat = JSON_STATS.get(str(entry.get("Stat") or "average").lower(), "mean")
    value, called = json_number(entry.get("Value"), f"{where}.Value"), str(entry.get("Metric"))
    if name in _LATENCIES and unit in _UNITS:
        figures.put(f"{_LATENCIES[name]}_{stat}", value, called, _UNITS[unit])
    elif name in _RATES and stat == "mean":
        by_requests = "request" in unit or _RATES[name].startswith("transactions")
        figures.put("transactions_per_minute" if by_requests else _RATES[name], value, called,
                    60.0 if by_requests and "minute" not in unit else 1.0)
    elif name:
        figures.put(f"{name}_{stat}", value, called)


def _measured(one: Mapping[str, Any], where: str) -> Row:
    """Inference Recommender: the most invocations a minute, the model's latency in µs, prices an hour and a request."""
    figures, metrics = Figures(where), mapping(one.get("Metrics"), f"{where}.Metrics")
    config = mapping(one.get("EndpointConfiguration"), f"{where}.EndpointConfiguration")
    figures.take("transactions_per_minute", metrics, "MaxInvocations")
    figures.take("model_latency", metrics, "ModelLatency", 1e-6)
    figures.take("price_per_transaction", metrics, "CostPerInference")
    figures.take("usd_per_hour", metrics, "CostPerHour")
    figures.take("instance_count", config, "InitialInstanceCount")
    info = mapping(one.get("EndpointInfo"), f"{where}.EndpointInfo")
    instance = config.get("InstanceType")
    return figures.row(str(instance or info.get("EndpointName") or where.rpartition(": ")[2]), instance_type=instance,
                       endpoint=config.get("EndpointName") or info.get("EndpointName"))
