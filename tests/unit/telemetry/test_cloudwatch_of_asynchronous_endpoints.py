"""Asynchronous endpoints publish metrics of their own in CloudWatch, some of them by endpoint and not by variant."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fmload.telemetry.cloudwatch import CloudWatch


def dimensions(**options: object) -> dict[str, set[str]]:
    """By metric, the names of its dimensions."""
    made = CloudWatch("cw", CloudWatch.Options.model_validate(
        {"service": "sagemaker", "endpoint_name": "e", **options}))
    queries = [query["MetricStat"]["Metric"] for query, _ in made._queries().values()]
    return {one["MetricName"]: {each["Name"] for each in one["Dimensions"]} for one in queries}


def test_an_asynchronous_endpoint_is_asked_for_its_backlog_and_not_for_invocations() -> None:
    found = dimensions(asynchronous=True)
    assert found["ApproximateBacklogSize"] == {"EndpointName"}
    assert found["TimeInBacklog"] == found["CPUUtilization"] == {"EndpointName", "VariantName"}
    assert "Invocations" not in found and "OverheadLatency" not in found


def test_others_are_asked_as_ever() -> None:
    found = dimensions()
    assert found["Invocations"] == {"EndpointName", "VariantName"} and "TimeInBacklog" not in found


def test_it_belongs_to_sagemaker() -> None:
    with pytest.raises(ValidationError, match="belongs to service: sagemaker"):
        CloudWatch.Options.model_validate({"service": "bedrock", "model_id": "m", "asynchronous": True})
