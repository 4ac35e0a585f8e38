"""What each collector makes of what its source prints. Samples follow the sources' documented formats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fmload.base.registry import Registry
from fmload.config.schema import EndpointSpec, TelemetrySpec
from fmload.plugins import COLLECTORS
from fmload.results.folder import Results
from fmload.results.samples import Sample, SampleLog, Window, to_parquet
from fmload.telemetry.docker_stats import DockerStats, size_bytes
from fmload.telemetry.neuron_monitor import NeuronMonitor
from fmload.telemetry.nvidia_smi import NvidiaSmi
from fmload.telemetry.prometheus import Prometheus
from fmload.telemetry.prometheus_query import PrometheusQuery
from fmload.telemetry.recorder import Recorder
from tests.handmade import stage


def _values(samples: object) -> dict[tuple[str, str], float]:
    return {(sample.metric, json.dumps(dict(sample.labels), sort_keys=True)): sample.value for sample in samples}  # type: ignore[attr-defined]


VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 7.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.1",model_name="m"} 3.0
vllm:time_to_first_token_seconds_bucket{le="+Inf",model_name="m"} 9.0
vllm:time_to_first_token_seconds_sum{model_name="m"} 1.5
vllm:time_to_first_token_seconds_count{model_name="m"} 9.0
# TYPE python_gc_objects_collected counter
python_gc_objects_collected_total{generation="0"} 1000.0
"""


def test_a_serving_engines_series_are_kept_and_strangers_are_not() -> None:
    collector = Prometheus("vllm", Prometheus.Options(url="http://127.0.0.1/metrics"))
    found = _values(collector.parse(VLLM, 5))
    assert found[("vllm:num_requests_running", '{"engine": "0", "model_name": "m"}')] == 7
    assert found[("vllm:time_to_first_token_seconds_count", '{"model_name": "m"}')] == 9
    assert not any(metric.startswith("python_gc") for metric, _ in found)


def test_metrics_are_chosen_by_pattern() -> None:
    collector = Prometheus("vllm", Prometheus.Options(url="http://127.0.0.1/metrics", metrics=["*_running"]))
    assert [sample.metric for sample in collector.parse(VLLM, 5)] == ["vllm:num_requests_running"]


def test_a_counter_is_told_by_its_type_and_not_by_its_name() -> None:
    collector = Prometheus("tgi", Prometheus.Options(url="http://127.0.0.1/metrics", metrics=["served", "load"]))
    text = "# TYPE served counter\nserved 5\n# TYPE load gauge\nload 3\n"
    assert [sample.metric for sample in collector.parse(text, 5)] == ["served_total", "load"]


def test_of_an_endpoint_by_name_each_address_is_scraped_and_labelled(tmp_path: Path) -> None:
    endpoint = EndpointSpec.model_validate({"name": "a", "protocol": "openai", "model": "m",
                                            "urls": ["http://x:1/v1", "http://y:2/v1"]})
    spec = TelemetrySpec.model_validate({"name": "s", "collector": "prometheus", "endpoint": "a"})
    recorder = Recorder([spec], Results(tmp_path).create(), [endpoint])
    found = [collector.parse("# TYPE vllm:x gauge\nvllm:x 1\n", 5) for _, collector in recorder._collectors]
    assert [dict(sample.labels) for samples in found for sample in samples] == [{"address": "x:1"}, {"address": "y:2"}]


def test_ctrl_c_while_last_figures_are_waited_for_gives_up_that_source_alone(tmp_path: Path,
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(self: PrometheusQuery, window: Window) -> Iterator[Sample]:
        if self._source == "slow":
            raise KeyboardInterrupt
        yield Sample(self._source, "m", 1, 2.0)

    monkeypatch.setattr(PrometheusQuery, "after", asked)
    results = Results(tmp_path).create()
    ran = stage(ramp_start_ns=1, drain_end_ns=2, window_end_ns=2)
    results.stages_json.write_text(json.dumps({"stages": [ran], "wall_anchor_ns": 0}))
    specs = [TelemetrySpec.model_validate({"name": name, "collector": "prometheus_query", "url": "http://x:9090"})
             for name in ("slow", "other")]
    Recorder(specs, results).stop()
    assert [row["source"] for row in pq.read_table(results.telemetry_parquet).to_pylist()] == ["other"]
    assert json.loads(results.telemetry_problems_json.read_text())["slow"]["message"].startswith("interrupted")


def test_what_a_gpu_does_not_tell_is_absent() -> None:
    collector = NvidiaSmi("gpu", NvidiaSmi.Options())
    found = _values(collector.parse("0, 87, 40, 20480, 81559, 231.5, 700.00, 61, 1980\n"
                                    "1, [N/A], 0, 10, 81559, 55.0, 700.00, 33, 210\n", 5))
    assert found[("gpu_utilization_percent", '{"gpu": "0"}')] == 87
    assert found[("gpu_power_w", '{"gpu": "1"}')] == 55
    assert ("gpu_utilization_percent", '{"gpu": "1"}') not in found


NEURON = {"neuron_runtime_data": [{"pid": 9, "neuron_runtime_tag": "vllm", "report": {
    "neuroncore_counters": {"period": 1.0, "neuroncores_in_use": {
        "0": {"neuroncore_utilization": 81.25}, "1": {"neuroncore_utilization": 79.5}}},
    "memory_used": {"neuron_runtime_used_bytes": {"host": 1024, "neuron_device": 2048}},
    "execution_stats": {"execution_summary": {"completed": 12, "timed_out": 0}, "error_summary": {"generic": 1},
                        "latency_stats": {"total_latency": {"p50": 0.021, "p99": 0.034}, "device_latency": None}},
    "neuron_runtime_vcpu_usage": {"period": 1.0, "vcpu_usage": {"user": 42.01, "system": 12.34}, "error": ""}}}],
    "system_data": {
        "vcpu_usage": {"average_usage": {"user": 32.77, "nice": 0, "system": 22.87, "idle": 39.36, "io_wait": 0},
                       "usage_data": {"0": {"user": 34.41}}, "context_switch_count": 123456, "error": ""},
        "memory_info": {"period": 5.3, "memory_total_bytes": 49345835008, "memory_used_bytes": 16042344448,
                        "swap_total_bytes": 0, "swap_used_bytes": 0, "error": ""},
        "neuron_hw_counters": {"period": 1.0, "error": "", "neuron_devices": [
            {"neuron_device_index": 1, "mem_ecc_corrected": 2, "mem_ecc_uncorrected": 0, "sram_ecc_uncorrected": 0,
             "sram_ecc_corrected": 0}]}}}


def test_every_neuron_core_its_memory_and_its_executions_are_read() -> None:
    found = _values(NeuronMonitor("neuron", NeuronMonitor.Options()).parse(NEURON, 5))
    runtime = {"pid": "9", "tag": "vllm"}

    def at(metric: str, **labels: str) -> float:
        return found[metric, json.dumps({**runtime, **labels}, sort_keys=True)]

    assert at("neuroncore_utilization_percent", core="1") == 79.5
    assert at("neuron_memory_neuron_device_bytes") == 2048
    assert at("neuron_executions", status="completed") == 12
    assert at("neuron_errors", kind="generic") == 1
    assert at("neuron_total_latency_s", percentile="p99") == 0.034


def test_a_neuron_hosts_cpu_and_memory_and_its_devices_ecc_events_are_read() -> None:
    found = _values(NeuronMonitor("neuron", NeuronMonitor.Options()).parse(NEURON, 5))
    assert found["neuron_host_cpu_percent", '{"mode": "system"}'] == 22.87
    assert not any('"idle"' in labels for _, labels in found)
    assert found["neuron_runtime_cpu_percent", '{"mode": "user", "pid": "9", "tag": "vllm"}'] == 42.01
    assert found["neuron_host_memory_used_bytes", "{}"] == 16042344448
    assert found["neuron_host_memory_total_bytes", "{}"] == 49345835008
    assert found["neuron_ecc_events_total", '{"device": "1", "kind": "mem_ecc_corrected"}'] == 2


def test_docker_stats_are_read_in_bytes_and_per_cent() -> None:
    row = {"Name": "vllm", "CPUPerc": "150.25%", "MemUsage": "1.5GiB / 24GiB", "NetIO": "1.2kB / 3MB",
           "BlockIO": "-- / --"}
    found = _values(DockerStats("docker", DockerStats.Options()).parse(json.dumps(row) + "\n", 5))
    labels = '{"container": "vllm"}'
    assert found["container_cpu_percent", labels] == 150.25
    assert found["container_memory_used_bytes", labels] == 1.5 * 2**30
    assert found["container_network_sent_bytes", labels] == 3e6
    assert ("container_block_read_bytes", labels) not in found


@pytest.mark.parametrize(("text", "size"), [("12.3kB", 12300.0), ("0B", 0.0), ("2MiB", 2 * 2**20), ("--", None)])
def test_sizes_have_binary_and_decimal_units(text: str, size: float | None) -> None:
    assert size_bytes(text) == size


def test_a_wall_clock_time_becomes_an_instant_of_the_master() -> None:
    window = Window(start_ns=0, end_ns=1, wall_anchor_ns=1_000_000_000_000)
    assert window.at_ns(1001.5) == 1_500_000_000


def test_a_torn_last_line_is_left_out_of_the_columns(tmp_path: Path) -> None:
    log = SampleLog(tmp_path / "t.jsonl")
    log.add([Sample("s", "m", 1, 2.0, {"b": "2", "a": "1"}), Sample("s", "m", 2, 3.0)])
    log.close()
    with (tmp_path / "t.jsonl").open("a") as file:
        file.write('{"source": "s", "met')
    assert to_parquet(tmp_path / "t.jsonl", tmp_path / "t.parquet") == 2
    rows = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert rows[0] == {"source": "s", "metric": "m", "labels": '{"a": "1", "b": "2"}', "at_ns": 1, "value": 2.0}


def test_the_run_file_takes_a_collectors_own_keys() -> None:
    spec = TelemetrySpec.model_validate({"name": "gpu", "collector": "prometheus", "url": "http://x/metrics"})
    assert spec.options.url == "http://x/metrics"


def test_every_collector_has_options_and_is_made_from_them() -> None:
    assert isinstance(COLLECTORS, Registry)
    needed = {"prometheus": {"url": "http://x/metrics"}, "prometheus_query": {"url": "http://x:9090"},
              "cloudwatch": {"service": "sagemaker", "endpoint_name": "e"}}
    for name in COLLECTORS:
        kind = COLLECTORS.load(name)
        collector = kind("source", kind.Options(**needed.get(name, {})))
        assert collector.every_s is None or collector.every_s > 0
        collector.close()


def test_a_neuron_runtime_that_tells_nothing_yet_is_no_failure() -> None:
    report = {"neuroncore_counters": {"neuroncores_in_use": None, "error": "no such process"}, "memory_used": None,
              "execution_stats": {"execution_summary": {"completed": 3}, "error_summary": None, "latency_stats": None}}
    collector = NeuronMonitor("neuron", NeuronMonitor.Options())
    found = list(collector.parse({"neuron_runtime_data": [{"pid": 9, "report": report}]}, 5))
    assert [(sample.metric, sample.value) for sample in found] == [("neuron_executions", 3)]
    assert list(collector.parse({"neuron_runtime_data": None}, 5)) == []


def test_a_container_that_has_just_ended_is_absent() -> None:
    rows = [{"Name": "gone", "CPUPerc": "--", "MemUsage": "-- / --", "NetIO": "--", "BlockIO": "--"},
            {"Name": "vllm", "CPUPerc": "50.00%", "MemUsage": "1GiB / 24GiB", "NetIO": "0B / 0B", "BlockIO": "0B / 0B"}]
    found = DockerStats("docker", DockerStats.Options()).parse("\n".join(map(json.dumps, rows)), 5)
    assert {sample.labels["container"] for sample in found} == {"vllm"}


def test_samples_before_one_that_cannot_be_read_are_kept(tmp_path: Path) -> None:
    def torn() -> Iterator[Sample]:
        yield Sample("s", "m", 1, 2.0)
        raise ValueError("a torn line")

    log = SampleLog(tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match="torn"):
        log.add(torn())
    log.close()
    assert to_parquet(tmp_path / "t.jsonl", tmp_path / "t.parquet") == 1
