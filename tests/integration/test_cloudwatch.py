"""CloudWatch through unmodified boto3: datapoints that come late, in halves or never; and a service that refuses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from fmload.base.errors import FmloadError
from fmload.config.schema import TelemetrySpec
from fmload.results.folder import Results
from fmload.results.samples import Sample, Window
from fmload.telemetry.cloudwatch import CloudWatch
from fmload.telemetry.recorder import Recorder
from tests.handmade import stage
from tests.integration.test_collectors_that_die import hung
from tests.integration.test_telemetry import series_of

QUICK: dict[str, Any] = {"service": "sagemaker", "endpoint_name": "e", "period": "1s", "delay": "1s",
                         "again": "200ms", "patience": "4s"}
CPU = ("/aws/sagemaker/Endpoints", "CPUUtilization")
CALLS = ("AWS/SageMaker", "Invocations")


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    aws(monkeypatch, url)
    try:
        requests.post(f"{url}/moto-api/reset", timeout=10)
        yield url
    finally:
        requests.post(f"{url}/moto-api/reset-auth", data=b"inf", timeout=10)
        server.stop()


def aws(monkeypatch: pytest.MonkeyPatch, url: str, access: str = "test", secret: str = "test") -> None:
    for name, value in (("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", access), ("AWS_SECRET_ACCESS_KEY", secret),
                        ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def put(metric: tuple[str, str], second: int, value: float) -> None:
    dimensions = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "AllTraffic"}]
    boto3.client("cloudwatch").put_metric_data(Namespace=metric[0], MetricData=[
        {"MetricName": metric[1], "Dimensions": dimensions, "Value": value, "StorageResolution": 1,
         "Timestamp": datetime.fromtimestamp(second, UTC)}])


def ended_now() -> tuple[Window, int]:
    """A load of the last three periods of a second, and the first one's start in seconds of the epoch."""
    wall_anchor_ns = time.time_ns() - time.monotonic_ns()
    first = int(time.time()) - 3
    start_ns = first * 10**9 - wall_anchor_ns
    return Window(start_ns + 10**8, start_ns + 29 * 10**8, wall_anchor_ns), first


def collector(**options: Any) -> CloudWatch:
    return CloudWatch("cw", CloudWatch.Options.model_validate({**QUICK, **options}))


def kept(window: Window, after: Callable[[Window], Iterator[Sample]]) -> tuple[list[Sample], FmloadError | None]:
    """What came, and the failure that ended it."""
    samples: list[Sample] = []
    try:
        samples.extend(after(window))
    except FmloadError as error:
        return samples, error
    return samples, None


def test_figures_that_come_late_and_in_halves_are_waited_for_and_taken_when_they_are_whole(moto: str) -> None:
    window, first = ended_now()
    end_s = window.at_ns(first + 3) / 1e9

    def publish() -> None:
        time.sleep(max(0.0, end_s + 1.3 - time.monotonic()))  # when it has been asked once
        for place in range(3):
            put(CPU, first + place, 40.0 + place)
            put(CALLS, first + place, 1)  # half of what the period had
        time.sleep(max(0.0, end_s + 2.1 - time.monotonic()))  # sooner than it asks twice
        for place in range(3):
            put(CALLS, first + place, 2)

    asked: list[float] = []
    boto3.setup_default_session()
    boto3.DEFAULT_SESSION.events.register("before-call.cloudwatch.GetMetricData",  # type: ignore[union-attr]
                                          lambda **_: asked.append(time.monotonic()))
    late = threading.Thread(target=publish)
    late.start()
    samples, failed = kept(window, collector(again="1s").after)
    late.join()
    assert failed is None
    assert asked[0] >= end_s + 1 and len(asked) >= 3, "it was asked before the delay, or too seldom"
    values = {metric: sorted((sample.at_ns, sample.value) for sample in samples if sample.metric == metric)
              for metric in ("Invocations", "CPUUtilization")}
    middles = [window.at_ns(first + place + 0.5) for place in range(3)]
    assert values == {"Invocations": [(at, 3.0) for at in middles],
                      "CPUUtilization": [(at, 40.0 + place) for place, at in enumerate(middles)]}


def test_what_never_came_is_a_warning_and_what_came_is_kept(moto: str, tmp_path: Path) -> None:
    window, first = ended_now()
    for place in (0, 1):
        put(CPU, first + place, 40)
    results = Results(tmp_path).create()
    ran = stage(ramp_start_ns=window.start_ns, drain_end_ns=window.end_ns, window_end_ns=window.end_ns)
    results.stages_json.write_text(json.dumps({"stages": [ran], "wall_anchor_ns": window.wall_anchor_ns}))
    recorder = Recorder([TelemetrySpec.model_validate(
        {"name": "cw", "collector": "cloudwatch", **QUICK, "patience": "500ms"})], results)
    recorder.start()
    recorder.stop()
    told = json.loads(results.telemetry_problems_json.read_text())["cw"]
    assert "none of Invocations" in told["message"] and "CPUUtilization of 1 of 3 periods" in told["message"]
    assert "patience" in told["hint"]
    assert len(series_of(results.telemetry_parquet)["CPUUtilization"]) == 2


def test_figures_of_an_unknown_endpoint_are_missed_by_name(moto: str) -> None:
    samples, failed = kept(ended_now()[0], collector(endpoint_name="misspelt", patience="0s").after)
    assert not samples and failed is not None
    assert "'misspelt'" in failed.message and "region" in str(failed.hint)


def test_a_user_who_may_not_read_metrics_is_told_of_the_permission(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = boto3.client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    requests.post(f"{moto}/moto-api/reset-auth", data=b"0", timeout=10)
    aws(monkeypatch, moto, key["AccessKeyId"], key["SecretAccessKey"])
    begun = time.monotonic()
    samples, failed = kept(ended_now()[0], collector(patience="60s").after)
    assert time.monotonic() - begun < 30, "it asked again although it was refused"
    assert not samples and failed is not None
    assert "not authorized to perform" in failed.message and "cloudwatch:GetMetricData" in str(failed.hint)
    assert key["SecretAccessKey"] not in str(failed)


@pytest.mark.parametrize(("kind", "words"), [("gone", "Could not connect"), ("hung", "Read timeout")])
def test_a_service_that_does_not_answer_ends_the_patience_and_not_the_run(kind: str, words: str,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    with hung() as url:
        aws(monkeypatch, url if kind == "hung" else "http://127.0.0.1:9")
        samples, failed = kept(ended_now()[0], collector(delay="0s", patience="300ms", timeout="200ms").after)
    assert not samples and failed is not None
    assert words in failed.message and "way to AWS" in str(failed.hint)
