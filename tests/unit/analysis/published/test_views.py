"""Other tools' definitions over two requests made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import request, stage, write

from fmload.base.errors import FmloadError
from fmload.plugins import VIEWS
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.published.views import show, view
from fmload_analysis.run import open_run


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float | None]]:
    """Request a: due at 0, sent at 10, tokens at 110, 130, 170, closed at 180. b: at 200, one chunk of 2, then 1."""
    write(folder := tmp_path_factory.mktemp("views"), [stage()], [
        request("a", 10, [110, 130, 170], end_ms=180, late_ms=10),
        request("b", 200, [300, 400], tokens=[2, 1], end_ms=400), request("f", 0, outcome="http_5xx", end_ms=1)],
        spec={"endpoints": [{"name": "a", "price": {"hourly": 3.6}}]})
    analysis = analyse_run(open_run(folder))
    return {tool: view(analysis.run, analysis.results[0], tool) for tool in VIEWS}


@pytest.mark.parametrize(("tool", "name", "value"), [
    ("vllm", "mean_ttft_ms", 100), ("vllm", "mean_tpot_ms", (30 + 50) / 2),
    ("vllm", "mean_itl_ms", (20 + 40 + 100) / 3),
    ("vllm", "mean_e2el_ms", 180), ("vllm", "request_throughput", 2 / 0.39), ("vllm", "output_throughput", 6 / 0.39),
    ("vllm", "failed", 1), ("genai-perf", "avg_inter_token_latency", 40), ("genai-perf", "p90_request_latency", 196),
    ("llmperf", "mean_inter_token_latency_s", (0.170 / 3 + 0.200 / 3) / 2),
    ("llmperf", "mean_end_to_end_latency_s", 0.185), ("llmperf", "num_completed_requests_per_min", 120 / 0.39),
    ("guidellm", "mean_inter_token_latency_ms", 40), ("guidellm", "mean_time_per_output_token_ms", (160 + 200) / 6),
    ("aiperf", "avg_inter_chunk_latency", (20 + 40 + 100) / 3), ("aiperf", "effective_concurrency", 0.36 / 0.39),
    ("aiperf", "avg_output_token_throughput_per_user", (1 / 0.03 + 1 / 0.05) / 2), ("aiperf", "error_request_count", 1),
    ("aiperf", "total_token_throughput", 26 / 0.39), ("aiperf", "p90_request_latency", 196),
    ("sglang", "mean_e2e_latency_ms", 185), ("sglang", "mean_tpot_ms", (35 + 50) / 2), ("sglang", "completed", 2),
    ("sglang", "concurrency", 0.37 / 0.39), ("sglang", "total_throughput", 26 / 0.39),
    ("inference-perf", "mean_request_latency", 0.185), ("inference-perf", "requests_per_sec", 2 / 0.39),
    ("inference-perf", "mean_normalized_time_per_output_token", (0.17 / 3 + 0.2 / 3) / 2),
    ("inference-perf", "mean_time_per_output_token", (0.03 + 0.05) / 2), ("inference-perf", "failures", 1),
    ("mlperf", "mean_latency_ns", 185e6), ("mlperf", "mean_first_token_latency_ns", 105e6),
    ("mlperf", "completed_samples_per_second", 1 / 0.4), ("fmbench", "transactions_per_minute", 307),
    ("fmbench", "TPOT_mean", (0.030 + 0.100) / 2), ("fmbench", "price_per_txn", 3.6 / 60 / 307),
    ("fmbench", "error_rate", 0.33)])
def test_a_figure_follows_the_tools_definition(figures: dict[str, dict[str, float | None]], tool: str, name: str,
                                               value: float) -> None:
    assert figures[tool][name] == pytest.approx(value)


def test_fmbench_prices_mean_lengths_where_tokens_are_paid_for(tmp_path: Path) -> None:
    write(tmp_path, [stage()], [request("a", 10, [110, 130, 170], end_ms=180, input_tokens=10)],
          spec={"endpoints": [{"name": "a", "price": {"input_per_1m": 3, "output_per_1m": 15}}]})
    analysis = analyse_run(open_run(tmp_path))
    shown = view(analysis.run, analysis.results[0], "fmbench")
    assert shown["price_per_txn"] == pytest.approx((10 * 3 + 3 * 15) / 1e6)
    assert shown["price_per_token"] == pytest.approx((10 * 3 + 3 * 15) / 1e6 / 13, abs=1e-8)


def test_a_stage_without_requests_has_blanks_in_every_view(tmp_path: Path) -> None:
    write(tmp_path, [stage()])
    analysis = analyse_run(open_run(tmp_path))
    for tool in VIEWS:
        assert all(value is None or value >= 0 for value in view(analysis.run, analysis.results[0], tool).values())
        show(analysis, tool)


def test_an_unknown_tool_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    write(tmp_path, [stage()])
    analysis = analyse_run(open_run(tmp_path))
    with pytest.raises(FmloadError, match="did you mean 'vllm'"):
        view(analysis.run, analysis.results[0], "vlm")
