"""Mixes and requests given up on purpose, with real workers."""

from __future__ import annotations

from pathlib import Path

from tests.load_rig import emulator, ids, run_file, sweep


def test_a_mix_sends_its_components_together_and_gives_up_the_share_that_was_asked_for(tmp_path: Path) -> None:
    mix = [{"endpoint": "a", "prompts": "short", "weight": 2},
           {"endpoint": "a", "prompts": "long", "weight": 1, "parameters": {"temperature": 0.5}}]
    load = {"rate": [30], "arrivals": "poisson", "mix": mix, "cancel": {"share": "30%", "after_tokens": 12}, "ramp": 0,
            "warmup": "500ms", "window": "6s", "drain": "10s", "workers": 2}
    prompts = [{"name": name, "source": "synthetic", "input_tokens": 20, "output_tokens": 30, "count": 300}
               for name in ("short", "long")]
    with emulator(tmp_path, "--ttft", "50ms", "--gap", "10ms") as server:
        with sweep(tmp_path, run_file(tmp_path, {"a": server.url}, load, prompts=prompts)) as run:
            assert run.wait() == 0, run.output()
        served = {one.request_id: one for one in server.requests()}
    short, long = run.stages()
    assert (short["step"], short["load"]["value"], long["load"]["value"]) == (0, 20.0, 10.0)
    assert (short["window_start_ns"], long["parameters"]) == (long["window_start_ns"], {"temperature": 0.5})
    records = run.records()
    assert ids(records) == set(served) and len(records) > 120
    share = sum(record.stage == short["stage"] for record in records) / len(records)
    assert 0.5 < share < 0.82  # 2/3; five standard errors of 150 requests
    given_up = [record for record in records if record.outcome == "cancelled"]
    assert {record.outcome for record in records} == {"ok", "cancelled"}
    assert 0.1 < len(given_up) / len(records) < 0.5
    for record in given_up:
        assert 12 <= len(record.chunk_ns) < 30
        assert served[record.request_id].outcome != "ok"  # the server saw the connection close
    assert sorted(len(record.chunk_ns) for record in given_up)[len(given_up) // 2] <= 13  # reads may hold several
    assert min(record.send_ns or 0 for record in records) >= short["ramp_start_ns"]
