"""Tenants with real workers against the emulator, whose truth says with which model and priority each request came."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from tests.load_rig import emulator, fmload_run, run_file

TENANTS = [{"name": "gold", "model": "gold-lora", "priority": 0, "headers": {"X-Tenant": "secret-word-of-gold"},
            "objectives": {"ttft_p50": "10s"}}, {"name": "free", "priority": 9}]
LOAD = {"concurrency": [8], "ramp": 0, "warmup": "500ms", "window": "6s", "drain": "30s"}
PROMPTS = [{"name": "chat", "source": "synthetic", "input_tokens": 20, "output_tokens": 8, "count": 400,
            "tenants": {"gold": 1, "free": 3}}]


def test_each_request_comes_as_its_tenants_and_what_waits_is_the_lower_priority(tmp_path: Path) -> None:
    engine = ("--profile", "llama3-8b-g5.2xlarge", "--engine", "max_num_seqs=2,scheduling_policy=priority")
    with emulator(tmp_path, *engine) as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, prompts=PROMPTS, tenants=TENANTS)
        with fmload_run(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
        truth = {one.request_id: one for one in server.requests()}
    records = run.records()
    asked = {record.request_id: record.tenant for record in records}
    assert {"gold", "free"} == set(asked.values())
    for name, model, priority in (("gold", "gold-lora", 0), ("free", "m", 9)):
        mine = [truth[request] for request, tenant in asked.items() if tenant == name and request in truth]
        assert mine
        assert {(one.model, one.priority) for one in mine} == {(model, priority)}
    rows = {row["tenant"]: row for row in csv.DictReader(run.results.tenants_csv.open())}
    outcomes = Counter(record.tenant for record in records)
    assert outcomes["free"] > outcomes["gold"]
    assert float(rows["gold"]["ttft_p50_s"]) < float(rows["free"]["ttft_p50_s"])
    assert 0 < float(rows["gold"]["fairness_served"]) <= 1
    for file in (*run.results.root.glob("*.*"), *run.results.logs.glob("*"), *run.results.records.glob("*")):
        assert b"secret-word-of-gold" not in file.read_bytes(), file


def test_a_tenant_whose_model_is_not_served_is_told_before_the_load(tmp_path: Path) -> None:
    with emulator(tmp_path, "--model", "m") as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, prompts=PROMPTS, tenants=TENANTS)
        with fmload_run(tmp_path, path) as run:
            assert run.wait() != 0
    assert "endpoint 'a', as tenant 'gold' has it, refuses a first request" in run.output()
    assert "`gold-lora` does not exist" in run.output()
