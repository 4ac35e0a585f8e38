"""Which resource was the limit, by what an endpoint told of itself under whatever names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fmload_analysis.audit.checks.server import prefix_cache, throttles
from fmload_analysis.audit.facts import Facts
from fmload_analysis.stage.gauges import gauges_of
from fmload_analysis.stage.telemetry import ServerView
from fmload_analysis.stage.utilisation import Metered
from fmload_analysis.verdict.limits import Observed, limit_of, observed, tokens_per_joule


def series(metric: str, *values: float, labels: str = "") -> Metered:
    return Metered("s", metric, labels, np.arange(len(values), dtype=np.int64) * 10, np.array(values))


def test_engines_tell_of_the_same_quantities_under_their_own_names() -> None:
    for names in (("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"),
                  ("sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage"),
                  ("llamacpp:requests_processing", "llamacpp:requests_deferred", "llamacpp:kv_cache_usage_ratio")):
        found = gauges_of(series(name, 0.5, 0.25) for name in names)
        assert {quantity: gauge.metric for quantity, gauge in found.items()} == dict(
            zip(("running", "waiting", "kv_cache"), names, strict=True))


def test_power_of_several_gpus_is_added_up_and_their_utilisation_averaged() -> None:
    found = gauges_of([series("DCGM_FI_DEV_POWER_USAGE", 100, 300, labels="gpu=0"),
                       series("DCGM_FI_DEV_POWER_USAGE", 50, 70, labels="gpu=1"),
                       series("DCGM_FI_DEV_GPU_UTIL", 80, 100, labels="gpu=0"),
                       series("DCGM_FI_DEV_GPU_UTIL", 40, 60, labels="gpu=1")])
    assert found["power"].value.tolist() == [150, 370]
    assert found["accelerator"].value.tolist() == pytest.approx([0.6, 0.8])
    assert observed(found, 0, 10, None).power_w == 260


def told(source: str, at_ns: list[int], *values: float, metric: str = "vllm:num_requests_running") -> Metered:
    return Metered(source, metric, "", np.array(at_ns, dtype=np.int64), np.array(values))


def test_two_servers_are_one_at_the_instants_of_both_and_one_that_has_died_is_no_longer_counted() -> None:
    joined = gauges_of([told("a", [0, 10, 20], 4, 5, 6), told("b", [5, 15, 25, 35, 95], 1, 2, 3, 4, 7)])["running"]
    assert joined.at_ns.tolist() == [0, 5, 10, 15, 20, 25, 35, 95]
    assert joined.value.tolist() == [5, 5, 6, 7, 8, 9, 10, 7]


def test_a_scrape_and_a_prometheus_server_that_tell_the_same_are_not_added_up() -> None:
    both = [told("a", [0, 10], 4, 5), told("b", [0, 10], 4, 5)]
    assert gauges_of(both, collectors={"a": "prometheus", "b": "prometheus_query"})["running"].value.tolist() == [4, 5]
    assert gauges_of(both, collectors={"a": "prometheus", "b": "prometheus"})["running"].value.tolist() == [8, 10]


def test_djls_rolling_batch_is_a_batch() -> None:
    assert gauges_of([series("RollingBatchSize", 16)])["running"].metric == "RollingBatchSize"


def test_cloudwatchs_utilisation_of_an_instance_is_divided_by_its_gpus_and_unknown_where_their_number_is() -> None:
    eight = [series("GPUUtilization", 160.0, 240.0)]  # a hundred for each GPU of the instance
    assert gauges_of(eight, accelerators_per_instance=8)["accelerator"].value.tolist() == pytest.approx([0.2, 0.3])
    assert "accelerator" not in gauges_of(eight)
    told_better = [*eight, series("DCGM_FI_DEV_GPU_UTIL", 20.0, 30.0)]
    assert gauges_of(told_better)["accelerator"].metric == "DCGM_FI_DEV_GPU_UTIL"


def test_the_memory_of_a_neuron_runtime_on_its_host_is_not_the_accelerators() -> None:
    found = gauges_of([series("neuron_runtime_memory_used_bytes", 2**30, labels="memory_location=host"),
                       series("neuron_runtime_memory_used_bytes", 3 * 2**30, labels="memory_location=neuron_device")])
    assert found["memory"].value.tolist() == [3.0]


@pytest.mark.parametrize(("seen", "limit"), [
    (Observed(running=8, most_running=8, waiting=4, kv_cache=0.5), "batch size"),
    (Observed(running=8, most_running=8, waiting=4, kv_cache=0.95), "KV cache"),
    (Observed(running=8, most_running=8, waiting=4, kv_cache=0.5, preemptions=3), "KV cache"),
    (Observed(running=4, most_running=8, waiting=4, kv_cache=0.5), "queue"),
    (Observed(running=4, most_running=4, waiting=0, accelerator=0.97), "accelerator"),
    (Observed(running=4, most_running=4, waiting=0, accelerator=0.97, memory_bandwidth=0.8), "memory bandwidth"),
    (Observed(running=4, most_running=4, waiting=0, kv_cache=0.1, accelerator=0.3), "load"),
    (Observed(running=4, most_running=4, waiting=0, kv_cache=0.1, client_host_cpu=0.98), "load generator's host"),
    (Observed(running=4, most_running=4, waiting=0, accelerator=0.97, client_host_cpu=0.98), "accelerator"),
    (Observed(running=4, most_running=4, waiting=0, kv_cache=0.1, client_host_cpu=0.5), "load"),
    (Observed(), "unknown"),
])
def test_the_first_resource_that_is_shown_to_be_full_is_the_limit(seen: Observed, limit: str) -> None:
    assert limit_of(seen).name == limit
    bound = limit_of(seen, ["The busiest worker (w0) used 99% of a core: the client was the limit."])
    assert bound.name == "load generator" and "99% of a core" in bound.evidence


def test_the_evidence_holds_the_figures() -> None:
    found = limit_of(Observed(running=8, most_running=8, waiting=4, kv_cache=0.5))
    assert found.evidence == "4 requests waited at the median beside a full batch of 8, with 50% of the KV cache in use"


def test_a_queue_that_came_and_went_is_told_where_nothing_was_full() -> None:
    found = limit_of(Observed(running=2, most_running=4, waiting=0, most_waiting=9, kv_cache=0.14))
    assert found.evidence == ("nothing that the endpoint tells of was full: 0 requests waited (at most 9), "
                              "14% of the KV cache in use, at the median")


def test_tokens_per_joule_are_tokens_a_second_by_watts() -> None:
    assert tokens_per_joule(500.0, 250.0) == 2.0
    assert tokens_per_joule(500.0, None) is None


def facts(server: ServerView, throttled: int = 0, **ours: float) -> Facts:
    summary: Any = SimpleNamespace(outcomes={"throttled": throttled}, totals=SimpleNamespace(window_s=10.0))
    return Facts(ours.get, summary, server=server)


@pytest.mark.parametrize(("ours", "result"), [(0.5, "PASS"), (0.0, "WARN")])
def test_a_cache_of_which_the_answers_tell_otherwise_is_a_warning(ours: float, result: str) -> None:
    check = prefix_cache(facts(ServerView(cached_share=0.48), cached_share=ours))
    assert check is not None and check.result == result
    told = prefix_cache(facts(ServerView(cached_share=0.48)))
    assert told is not None and told.result == "WARN"


def test_throttles_that_only_the_server_saw_are_a_warning() -> None:
    seen = throttles(facts(ServerView(throttles=20.0), throttled=20))
    unseen = throttles(facts(ServerView(throttles=20.0), throttled=5))
    assert seen is not None and seen.result == "PASS"
    assert unseen is not None and unseen.result == "WARN" and "15 were tried again on the way" in unseen.sentence
    assert throttles(facts(ServerView())) is None
