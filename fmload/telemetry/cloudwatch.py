"""CloudWatch metrics of SageMaker endpoints and Bedrock models, fetched when the load has ended and they are there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from fmload.config.model import Strict
from fmload.config.values import Seconds
from fmload.telemetry.sample import Sample, Window

# namespace: metric, its statistic. AWS documentation: "Metrics for monitoring Amazon SageMaker AI", "Amazon Bedrock
# runtime metrics".
SAGEMAKER: dict[str, dict[str, str]] = {
    "AWS/SageMaker": {"Invocations": "Sum", "Invocation4XXErrors": "Sum", "Invocation5XXErrors": "Sum",
                      "InvocationModelErrors": "Sum", "ModelLatency": "Average", "OverheadLatency": "Average",
                      "ConcurrentRequestsPerModel": "Maximum"},
    "/aws/sagemaker/Endpoints": {"CPUUtilization": "Average", "MemoryUtilization": "Average",
                                 "GPUUtilization": "Average", "GPUMemoryUtilization": "Average",
                                 "DiskUtilization": "Average"},
}
BEDROCK: dict[str, dict[str, str]] = {
    "AWS/Bedrock": {"Invocations": "Sum", "InvocationLatency": "Average", "TimeToFirstToken": "Average",
                    "InvocationClientErrors": "Sum", "InvocationServerErrors": "Sum", "InvocationThrottles": "Sum",
                    "InputTokenCount": "Sum", "OutputTokenCount": "Sum", "EstimatedTPMQuotaUsage": "Average"},
}
EDGE_S = 60.0  # datapoints bear the start of their period


class CloudWatchOptions(Strict):
    """One SageMaker endpoint, or one Bedrock model."""

    service: Literal["sagemaker", "bedrock"]
    endpoint: str | None = Field(None, description="the endpoint that it tells of")
    endpoint_name: str | None = Field(None, description="sagemaker")
    variant: str = Field("AllTraffic", description="sagemaker")
    model_id: str | None = Field(None, description="bedrock")
    region: str | None = None
    period_s: Seconds = Field(60.0, alias="period", description="10s with enhanced metrics")
    delay_s: Seconds = Field(90.0, alias="delay", description="how long CloudWatch takes to have the last datapoints")


class CloudWatch:
    """Asks once, `delay` after the load has ended."""

    Options = CloudWatchOptions

    def __init__(self, source: str, options: CloudWatchOptions) -> None:
        self.every_s: float | None = None
        self._source = source
        self._options = options

    def collect(self) -> Iterable[Sample]:
        """Nothing during the load."""
        return ()

    def after(self, window: Window) -> Iterable[Sample]:
        """Datapoints of the whole window. Raises RuntimeError with AWS's words when it refuses."""
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        ready_ns = window.end_ns + int(self._options.delay_s * 1e9)
        time.sleep(max(0.0, (ready_ns - time.monotonic_ns()) / 1e9))
        client = boto3.client("cloudwatch", region_name=self._options.region)
        try:
            return list(self._fetch(client, window))
        except (BotoCoreError, ClientError) as error:
            raise RuntimeError(f"CloudWatch: {error}") from error

    def _fetch(self, client: Any, window: Window) -> Iterator[Sample]:
        queries = self._queries()
        start_s, end_s = ((at + window.wall_anchor_ns) / 1e9 for at in (window.start_ns, window.end_ns))
        start, end = datetime.fromtimestamp(start_s - EDGE_S, UTC), datetime.fromtimestamp(end_s + EDGE_S, UTC)
        pages = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[query for query, _, _ in queries.values()], ScanBy="TimestampAscending",
            StartTime=start, EndTime=end)
        for page in pages:
            for result in page["MetricDataResults"]:
                _, metric, statistic = queries[result["Id"]]
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    yield Sample(self._source, metric, window.at_ns(at.timestamp()), float(value),
                                 {"statistic": statistic, "period_s": f"{self._options.period_s:g}"})

    def _queries(self) -> dict[str, tuple[dict[str, Any], str, str]]:
        """By query id: the query, the metric's name, its statistic."""
        wanted = SAGEMAKER if self._options.service == "sagemaker" else BEDROCK
        flat = [(namespace, metric, statistic) for namespace, metrics in wanted.items()
                for metric, statistic in metrics.items()]
        return {f"m{number}": (self._query(f"m{number}", *one), one[1], one[2]) for number, one in enumerate(flat)}

    def _query(self, query_id: str, namespace: str, metric: str, statistic: str) -> dict[str, Any]:
        if self._options.service == "sagemaker":
            dimensions = {"EndpointName": self._options.endpoint_name or "", "VariantName": self._options.variant}
        else:
            dimensions = {"ModelId": self._options.model_id or ""}
        return {"Id": query_id, "MetricStat": {
            "Metric": {"Namespace": namespace, "MetricName": metric,
                       "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()]},
            "Period": int(self._options.period_s), "Stat": statistic}}

    def close(self) -> None:
        """Nothing is held."""
