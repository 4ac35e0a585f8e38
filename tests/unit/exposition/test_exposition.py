"""Our live metrics: what is exposed follows from what was tallied, and the dashboard asks for nothing else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fmload.base.errors import FmloadError
from fmload.exposition import dashboard, otlp
from fmload.exposition.families import BOUNDS_S, cumulative, families
from fmload.exposition.server import registry_of
from fmload.live.state import LiveState, Tally
from fmload.master.spend import Spend
from fmload.metrics.histogram import buckets
from fmload.model.stage import Load, Stage
from fmload.pricing.resolve import Pricing
from tests.one_record import MS, record


def collector(**live: Any) -> Any:
    """As much of a master's ledger as the families read, with three requests of stage 0 tallied."""
    state, tally = LiveState(), Tally({"ttft": 1.0})
    for outcome in ("ok", "ok", "http_5xx"):
        tally.add(record(outcome))  # type: ignore[arg-type]
    state.merge("w", tally.drain())
    state.observe("w", 3, {"cpu_fraction": 0.5, "loop_lag_p99_ns": 2 * MS}, 10**9)
    state.run = {"phase": "window"}
    stage = Stage(0, 0, 0, "e", "p", Load("concurrency", 8), {}, 0, 0, 1, None, 1, status="running")
    spend = Spend({"e": Pricing("t", usd_per_hour=3.6)}, [stage])
    return SimpleNamespace(live=state, stages=[stage], workers={"w": SimpleNamespace(lost_ns=None)}, spend=spend,
                           max_cost=10.0)


def exposed(of: Any) -> dict[str, float]:
    found = text_string_to_metric_families(generate_latest(registry_of(lambda: of)).decode())
    return {f"{sample.name} {' '.join(sample.labels.values())}".strip(): sample.value
            for family in found for sample in family.samples}


def test_counts_states_and_health_are_exposed_with_base_units() -> None:
    found = exposed(collector())
    assert found["fmload_requests_total e ok p"] == 2
    assert found["fmload_requests_total e http_5xx p"] == 1
    assert found["fmload_good_requests_total e p"] == 2
    assert found["fmload_max_cost_usd"] == 10.0
    assert found["fmload_run_phase window"] == 1
    assert found["fmload_offered_concurrency e p"] == 8
    assert found["fmload_requests_in_flight w"] == 3
    assert found["fmload_worker_cpu_ratio w"] == 0.5
    assert found["fmload_worker_loop_lag_p99_seconds w"] == pytest.approx(0.002)


def test_histograms_count_up_to_each_bound_and_a_failure_is_in_none() -> None:
    found = exposed(collector())
    assert found["fmload_time_to_first_token_seconds_count e p"] == 2
    assert found["fmload_time_to_first_token_seconds_bucket e 0.075 p"] == 0  # the TTFT is 100 ms, twice
    assert found["fmload_time_to_first_token_seconds_bucket e 0.15 p"] == 2
    assert found["fmload_time_to_first_token_seconds_sum e p"] == pytest.approx(0.2, rel=0.004)


def test_every_value_is_in_one_bucket() -> None:
    values = np.array([1, 999_999, 40 * MS, 10**9, 10**12], np.int64)
    upto, sum_s = cumulative(buckets(values))
    assert [le for le, _ in upto] == [*map(str, BOUNDS_S), "+Inf"]
    assert upto[-1][1] == 5 and upto[-2][1] == 4
    assert sum_s == pytest.approx(values.sum() / 1e9, rel=0.004)
    assert cumulative(Counter())[1] == 0


def test_before_the_first_run_there_is_the_version_alone() -> None:
    assert [name.split()[0] for name in exposed(None)] == ["fmload_build_info"]


def test_otlp_has_the_same_counts_by_bucket_rather_than_up_to_it() -> None:
    data = otlp._metrics_data(families(collector()), 1, 2)
    metrics = {one.name: one for one in data.resource_metrics[0].scope_metrics[0].metrics}
    point, = metrics["fmload.time_to_first_token"].data.data_points
    assert metrics["fmload.time_to_first_token"].unit == "s"
    assert (point.count, sum(point.bucket_counts), len(point.bucket_counts)) == (2, 2, len(BOUNDS_S) + 1)
    assert point.explicit_bounds == BOUNDS_S
    assert {one.value for one in metrics["fmload.requests"].data.data_points} == {2, 1}


@pytest.mark.parametrize(("given", "url"), [
    ("http://h:4318", "http://h:4318/v1/metrics"), ("https://h/otlp/v1/metrics", "https://h/otlp/v1/metrics")])
def test_the_address_of_the_metrics_follows_the_specification(given: str, url: str) -> None:
    assert otlp.metrics_url(given) == url


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(FmloadError, match="no http address"):
        otlp.metrics_url("localhost:4318")


def test_the_dashboard_file_is_what_its_builder_makes_and_grafanas_own_models_read_it_back() -> None:
    pytest.importorskip("grafana_foundation_sdk")
    import json

    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    assert dashboard.FILE.read_text() == dashboard.text(), "run: python -m fmload.exposition.dashboard"
    register_default_plugins()
    raw = json.loads(dashboard.FILE.read_text())
    assert json.loads(json.dumps(Dashboard.from_json(raw), cls=JSONEncoder)) == raw


def test_the_dashboard_asks_only_for_metrics_that_there_are() -> None:
    known = {name.split()[0] for name in exposed(collector())}
    known |= {"fmload_worker_stamp_lag_p99_seconds", "fmload_worker_send_lateness_p99_seconds"}  # not in this sample
    asked = {name for text in dashboard_queries() for name in re.findall(r"fmload_\w+", text)}
    assert asked - known == set()


def dashboard_queries() -> list[str]:
    """Every PromQL expression of the file."""
    return re.findall(r'"expr": "(.*)",', Path(dashboard.FILE).read_text())


def test_requests_of_tenants_have_a_label_and_those_of_nobody_an_empty_one() -> None:
    of, tally = collector(), Tally()
    for tenant in ("gold", "gold", None):
        one = record()
        one.tenant = tenant
        tally.add(one)
    of.live.merge("w", tally.drain())
    samples = [sample for family in text_string_to_metric_families(generate_latest(registry_of(lambda: of)).decode())
               for sample in family.samples if sample.name == "fmload_requests_total"]
    told = {(sample.labels["tenant"], sample.labels["outcome"]): sample.value for sample in samples}
    assert told == {("gold", "ok"): 2, ("", "ok"): 3, ("", "http_5xx"): 1}
