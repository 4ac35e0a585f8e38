"""CloudWatch metrics of SageMaker endpoints and Bedrock models, fetched when the load has ended and they are there.

Datapoints come late, and grow while the samples of their period come in. So nothing is asked before the last period of
the load has ended and `delay` has passed; then again and again, until nothing is missing and two answers are the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from fmload.base.errors import FmloadError
from fmload.base.units import format_duration
from fmload.config.model import Rule, Strict
from fmload.config.values import Seconds
from fmload.results.samples import Sample, Window

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
# Of asynchronous endpoints, which publish no Invocations: "Alarms and logs for tracking metrics from asynchronous
# endpoints". The name of the first is AWS's own spelling.
ASYNCHRONOUS: dict[str, dict[str, str]] = {
    "AWS/SageMaker": {"InvocationsProcesssed": "Sum", "TimeInBacklog": "Average", "TotalProcessingTime": "Average",
                      "ModelLatency": "Average", "InvocationFailures": "Sum", "ExpiredRequests": "Sum",
                      "RequestDownloadLatency": "Average", "ResponseUploadLatency": "Average",
                      "ApproximateBacklogSize": "Maximum", "ApproximateAgeOfOldestRequest": "Maximum"},
    "/aws/sagemaker/Endpoints": SAGEMAKER["/aws/sagemaker/Endpoints"],
}
_OF_ENDPOINT = ("ApproximateBacklogSize", "ApproximateAgeOfOldestRequest")  # without a variant
BEDROCK: dict[str, dict[str, str]] = {
    "AWS/Bedrock": {"Invocations": "Sum", "InvocationLatency": "Average", "TimeToFirstToken": "Average",
                    "InvocationClientErrors": "Sum", "InvocationServerErrors": "Sum", "InvocationThrottles": "Sum",
                    "InputTokenCount": "Sum", "OutputTokenCount": "Sum", "EstimatedTPMQuotaUsage": "Average"},
}
SHORT_PERIODS_S = (1, 5, 10, 20, 30)  # and multiples of 60: API reference, MetricStat
STEADY = frozenset(SAGEMAKER["/aws/sagemaker/Endpoints"])  # published in every period, load or not
# Without any datapoint of these the figures are not there yet, or never will be.
EXPECTED = {"sagemaker": ("Invocations", "CPUUtilization"), "bedrock": ("Invocations",),
            "asynchronous": ("InvocationsProcesssed", "CPUUtilization")}
Points = Mapping[tuple[str, int], float]  # metric and start of the period (seconds of the epoch): value


def _period(value_s: float) -> float:
    if value_s not in SHORT_PERIODS_S and (value_s <= 0 or value_s % 60):
        raise ValueError("is no period of CloudWatch; give 1s, 5s, 10s, 20s, 30s or whole minutes")
    return value_s


class CloudWatchOptions(Strict):
    """One SageMaker endpoint, or one Bedrock model."""

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        needed = {"sagemaker": "endpoint_name", "bedrock": "model_id"}.get(str(given.get("service")))
        if needed and not given.get(needed):
            yield needed, f"is missing; service: {given['service']} needs it"
        if given.get("asynchronous") and given.get("service") != "sagemaker":
            yield "asynchronous", "belongs to service: sagemaker"

    service: Literal["sagemaker", "bedrock"]
    endpoint: str | None = Field(None, description="the endpoint that it tells of")
    endpoint_name: str | None = Field(None, description="sagemaker")
    variant: str = Field("AllTraffic", description="sagemaker")
    asynchronous: bool = Field(False, description="sagemaker: the metrics of an asynchronous endpoint, such as its "
                                                  "backlog and the time in it")
    model_id: str | None = Field(None, description="bedrock")
    region: str | None = None
    period_s: Annotated[Seconds, AfterValidator(_period)] = Field(60.0, alias="period",
                                                                  description="10s with enhanced metrics")
    delay_s: Seconds = Field(90.0, alias="delay", description="after the load's last period: nothing is asked before")
    again_s: Seconds = Field(15.0, alias="again", ge=0.01, description="pause before it asks again")
    patience_s: Seconds = Field(300.0, alias="patience", description="after the delay: what is missing then is told")
    timeout_s: Seconds = Field(20.0, alias="timeout", gt=0, description="of one question")


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """What CloudWatch has, whether it is worth asking again, and what is wrong with it (None: nothing)."""

    points: Points
    final: bool
    wrong: FmloadError | None


class CloudWatch:
    """Asks when the load has ended, until its figures are whole."""

    Options = CloudWatchOptions

    def __init__(self, source: str, options: CloudWatchOptions) -> None:
        self.every_s: float | None = None
        self._source = source
        self._options = options

    def collect(self) -> Iterable[Sample]:
        """Nothing during the load."""
        return ()

    def after(self, window: Window) -> Iterator[Sample]:
        """The datapoints of every period that the load touched, each stamped in the middle of its period.

        Raises FmloadError, after all that is there, for what never came, or with AWS's words when it refuses.
        """
        periods = self._periods(window)
        ready_s = periods.stop + self._options.delay_s
        time.sleep(max(0.0, (window.at_ns(ready_s) - time.monotonic_ns()) / 1e9))
        answer = self._whole(periods)
        for (metric, start_s), value in answer.points.items():
            yield Sample(self._source, metric, window.at_ns(start_s + self._options.period_s / 2), value,
                         {"statistic": self._statistic(metric), "period_s": f"{self._options.period_s:g}"})
        if answer.wrong:
            raise answer.wrong

    def _periods(self, window: Window) -> range:
        """The starts of the periods that the load touched, in seconds of the epoch; `stop` is the last one's end."""
        period_s = int(self._options.period_s)
        start_ns, end_ns = (at + window.wall_anchor_ns for at in (window.start_ns, window.end_ns))
        first, last = (at // (period_s * 10**9) * period_s for at in (start_ns, end_ns))
        return range(first, last + period_s, period_s)

    def _whole(self, periods: range) -> MetricAnswer:
        """The first answer that is complete and the same twice, or the last one within the patience."""
        client = self._client()
        until = time.monotonic() + self._options.patience_s
        answer = self._ask(client, periods, None)
        while not answer.final and time.monotonic() + self._options.again_s <= until:
            time.sleep(self._options.again_s)
            answer = self._ask(client, periods, answer.points)
        return answer

    def _client(self) -> Any:
        """One try a question, since questions are asked again anyway."""
        import boto3
        from botocore.config import Config

        return boto3.client("cloudwatch", region_name=self._options.region, config=Config(
            connect_timeout=self._options.timeout_s, read_timeout=self._options.timeout_s,
            retries={"total_max_attempts": 1}))

    def _ask(self, client: Any, periods: range, known: Points | None) -> MetricAnswer:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            points = dict(self._fetch(client, periods))
        except (BotoCoreError, ClientError) as error:
            return MetricAnswer(known or {}, _refused(error), _told(error))
        wrong = self._missing(points, periods)
        if wrong is None and points != known:
            return MetricAnswer(points, False, FmloadError("CloudWatch's figures still changed when it was last asked",
                                                     "raise its patience; or the last datapoints may be incomplete"))
        return MetricAnswer(points, wrong is None, wrong)

    def _fetch(self, client: Any, periods: range) -> Iterator[tuple[tuple[str, int], float]]:
        queries = self._queries()
        pages = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[query for query, _ in queries.values()], ScanBy="TimestampAscending",
            StartTime=datetime.fromtimestamp(periods.start, UTC), EndTime=datetime.fromtimestamp(periods.stop, UTC))
        for page in pages:
            for result in page["MetricDataResults"]:
                _, metric = queries[result["Id"]]
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    if periods.start <= at.timestamp() < periods.stop:
                        yield (metric, int(at.timestamp())), float(value)

    def _missing(self, points: Points, periods: range) -> FmloadError | None:
        """What should be there and is not: metrics of which nothing came, and periods of those that never rest."""
        came: dict[str, set[int]] = {}
        for metric, start_s in points:
            came.setdefault(metric, set()).add(start_s)
        if not came:
            return FmloadError(f"CloudWatch has no datapoint of {self._subject()}",
                               "check the name, the variant and the region; or raise its patience")
        told = [f"none of {metric}" for metric in EXPECTED[self._kind] if metric not in came]
        told += [f"{metric} of {len(gaps)} of {len(periods)} periods ({_clock(gaps)} UTC)"
                 for metric in sorted(STEADY & set(came)) if (gaps := [at for at in periods if at not in came[metric]])]
        if not told:
            return None
        waited = format_duration(self._options.delay_s + self._options.patience_s)
        return FmloadError(f"CloudWatch's datapoints did not all come within {waited}: missing {'; '.join(told)}",
                           "raise its patience; or give the period in which the endpoint publishes (less than a minute "
                           "needs enhanced metrics)")

    def _subject(self) -> str:
        options = self._options
        return (f"endpoint '{options.endpoint_name}', variant '{options.variant}'" if options.service == "sagemaker"
                else f"model '{options.model_id}'")

    @property
    def _kind(self) -> str:
        return "asynchronous" if self._options.asynchronous else self._options.service

    def _wanted(self) -> dict[str, dict[str, str]]:
        return {"sagemaker": SAGEMAKER, "asynchronous": ASYNCHRONOUS, "bedrock": BEDROCK}[self._kind]

    def _statistic(self, metric: str) -> str:
        return next(metrics[metric] for metrics in self._wanted().values() if metric in metrics)

    def _queries(self) -> dict[str, tuple[dict[str, Any], str]]:
        """By query id: the query, the metric's name."""
        flat = [(namespace, metric, statistic) for namespace, metrics in self._wanted().items()
                for metric, statistic in metrics.items()]
        return {f"m{number}": (self._query(f"m{number}", *one), one[1]) for number, one in enumerate(flat)}

    def _query(self, query_id: str, namespace: str, metric: str, statistic: str) -> dict[str, Any]:
        if self._options.service == "sagemaker":
            dimensions = {"EndpointName": self._options.endpoint_name or "",
                          **({} if metric in _OF_ENDPOINT else {"VariantName": self._options.variant})}
        else:
            dimensions = {"ModelId": self._options.model_id or ""}
        return {"Id": query_id, "MetricStat": {
            "Metric": {"Namespace": namespace, "MetricName": metric,
                       "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()]},
            "Period": int(self._options.period_s), "Stat": statistic}}

    def close(self) -> None:
        """Nothing is held."""


def _clock(starts_s: list[int]) -> str:
    shown = ", ".join(f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}" for at in starts_s[:3])
    return shown + (", …" if len(starts_s) > 3 else "")


def _refused(error: Exception) -> bool:
    """Whether asking again is in vain: AWS answered, and it is neither a fault of its own nor a throttle."""
    status = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return 400 <= status < 500 and "Throttl" not in _code(error)


def _told(error: Exception) -> FmloadError:
    denied = "AccessDenied" in _code(error) or "not authorized" in str(error)
    hint = "allow cloudwatch:GetMetricData" if denied else "check the region, the credentials and the way to AWS"
    return FmloadError(f"CloudWatch: {error}", hint)


def _response(error: Exception) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(error, "response", None) or {}
    return found


def _code(error: Exception) -> str:
    return str(_response(error).get("Error", {}).get("Code", ""))
