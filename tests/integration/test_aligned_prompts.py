"""`align: server` in a run: the server's usage is the length that was asked for, under its tokenizer and template."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.integration.test_prompt_origins import TEMPLATE, make_tokenizer
from tests.load_rig import emulator, run_file, sweep

ENDLESS = {"source": "synthetic", "input_tokens": {"min": 30, "max": 60}, "output_tokens": 5, "count": 100}


def test_the_servers_usage_is_the_length_asked_for(tmp_path: Path) -> None:
    theirs = make_tokenizer(tmp_path / "tokenizer", TEMPLATE, ("the", "a", "of", "house"))
    with emulator(tmp_path, "--ttft", "10ms", "--gap", "2ms", "--tokenizer", theirs) as server:
        load = {"concurrency": [2], "ramp": "100ms", "warmup": "100ms", "window": "1s", "drain": "5s"}
        path = run_file(tmp_path, {"a": server.url}, load, prompts=[{"name": "s", "count_template": True, **ENDLESS}])
        values = yaml.safe_load(path.read_text())
        values["endpoints"][0]["align"] = "server"
        path.write_text(yaml.safe_dump(values))
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
    records = [record for record in run.records() if record.outcome == "ok"]
    assert len(records) > 10
    assert all(record.input_tokens == record.prompt_tokens for record in records)
    assert {30 <= (record.input_tokens or 0) <= 60 for record in records} == {True}
