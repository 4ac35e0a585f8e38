"""A search against an emulated server whose capacity is known in closed form, with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import pages

from fmload.emulator.capacity import capacity
from fmload.emulator.profiles import PROFILES
from tests.load_rig import emulator, fmload_run, run_file, sweep

PROFILE, TRUTH, TOKENS_OUT = "llama3-8b-g5.2xlarge", 30, 10


@pytest.mark.alone
def test_a_search_finds_the_users_that_an_endpoint_can_serve(tmp_path: Path) -> None:
    model = PROFILES[PROFILE].model
    assert model is not None
    cycle_s = (TRUTH + 0.5) / capacity(model, 27, TOKENS_OUT, TRUTH).requests_per_s  # 20 tokens and the chat's frame
    limit_s = cycle_s + model.decode_s(TRUTH, 0)  # and the step that a newcomer waits for
    load = {"find": {"objective": {"e2e_mean": f"{limit_s:.3f}s"}, "from": 8, "to": 64, "extend": 2}, "ramp": 0,
            "warmup": "3s", "window": "4s", "drain": "10s", "workers": 2}
    with emulator(tmp_path, "--profile", PROFILE, "--jitter", "0") as server:
        path = run_file(tmp_path, {"a": server.url}, load, prompts=[
            {"name": "p", "source": "synthetic", "input_tokens": 20, "output_tokens": TOKENS_OUT}])
        with fmload_run(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
    met = [stage["load"]["value"] for stage in run.stages() if stage["verdict"]["result"] == "meets"]
    assert abs(max(met) - TRUTH) / TRUTH <= 0.1, run.stages()  # 5 % on a quiet machine: python -m tests.bench search
    assert len(run.stages()) <= 9
    report = pages(run.results)
    assert f"The highest load that meets e2e_mean ≤ {limit_s:.3f}s is {max(met)} users" in report.replace("\\", "")
    assert (run.results.root / "figures" / "search_e2e_mean.png").exists() or "search_e2e_mean" in report


def test_a_stage_that_falls_behind_ends_early_and_higher_ones_are_skipped(tmp_path: Path) -> None:
    load = {"rate": [40, 80], "stop_when_saturated": True, "ramp": 0, "warmup": "1s", "window": "20s", "drain": "3s",
            "workers": 1}
    with emulator(tmp_path, "--profile", "llama3-8b-inf2.xlarge") as server, \
            sweep(tmp_path, run_file(tmp_path, {"a": server.url}, load)) as run:
        assert run.wait() == 0, run.output()
    first, second = run.stages()
    assert (first["window_closed"], second["status"]) == ("saturated", "skipped")
    assert (first["window_end_ns"] - first["window_start_ns"]) / 1e9 < 15
    assert second["marks"][0]["detail"] == "40/s was more than it can take"
