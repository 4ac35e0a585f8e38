"""The whole product against every odd form of the emulator: one run over real sockets, each published figure beside
the server's truth."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pytest
import yaml

from fmload.emulator.odd import Form
from fmload.emulator.truth import Truth
from fmload.model.record import Record
from fmload.plugins import FORMS
from tests.load_rig import emulator, fmload_run, wait_until

TOKENS = 12
CLOCKS_NS = 1_000_000  # the kernel's stamps are of another clock, and put on this one
OF_BEDROCK = ("guardrail-intervened", "content-filtered", "malformed-model-output", "no-metadata", "unknown-events",
              "odd-latency", "mostly-cached")
# Forms in which no total is told, or one that cannot be true: what is published is counted here, or the claim.
TOLD_AS = {"one-token-told": 1.0}
pytestmark = pytest.mark.alone


def endpoint(name: str, url: str, protocol: str) -> dict[str, Any]:
    keys: dict[str, Any] = {"name": f"{protocol}-{name}", "protocol": protocol, "model": "emulated",
                            "headers": {"X-Emulator-Dialect": name}, "url": url}
    if protocol == "openai":
        return {**keys, "url": f"{url}/v1"}
    if protocol == "bedrock":
        return {**keys, "model": "amazon.nova-lite-v1:0", "region": "us-east-1", "emulated": "steady"}
    return {**keys, "payload_format": "openai", "endpoint_name": "emulated", "region": "us-east-1",
            "emulated": "steady"}


OPENAI = [name for name in FORMS.in_order() if name not in OF_BEDROCK]
ENDPOINTS = {"openai": OPENAI, "sagemaker": OPENAI[::12], "bedrock": list(OF_BEDROCK)}


class Published(NamedTuple):
    """Of one endpoint: its row of summary.csv, the server's truth and the records."""

    row: dict[str, str]
    truths: list[Truth]
    records: list[Record]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """By endpoint, of one run for each protocol."""
    found: dict[str, Published] = {}
    for protocol in ENDPOINTS:
        found |= measured(tmp_path_factory.mktemp(protocol), protocol)
    return found


def measured(folder: Path, protocol: str) -> dict[str, Published]:
    with emulator(folder, "--ttft", "60ms", "--gap", "25ms") as server:
        path = folder / "run.yml"
        path.write_text(yaml.safe_dump({
            "name": "odd", "endpoints": [endpoint(name, server.url, protocol) for name in ENDPOINTS[protocol]],
            "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 20, "output_tokens": TOKENS,
                         "count": 400}],
            "load": {"concurrency": [1], "ramp": 0, "warmup": 0, "window": "5s", "drain": "10s", "workers": 1,
                     "side_by_side": True}}))
        with fmload_run(folder, path) as run:
            # The pictures of so many endpoints take minutes: the figures are there before.
            wait_until(lambda: run.results.audit_json.exists() or run.process.poll() is not None, 240, "the figures")
        truths = {truth.request_id: truth for truth in server.requests()}
        records = defaultdict(list)
        for record in run.records():
            records[record.endpoint].append(record)
        assert run.results.audit_json.exists() and run.results.summary_csv.exists(), run.output()
        with run.results.summary_csv.open() as file:
            rows = {row["endpoint"]: row for row in csv.DictReader(file)}
        windows = {one["endpoint"]: (one["window_start_ns"], one["window_end_ns"]) for one in run.stages()}
    found = {}
    for name, of_it in records.items():
        start, end = windows[name]
        inside = [one for one in of_it if start <= (one.send_ns or 0) < end and one.request_id in truths
                  and one.outcome not in ("censored", "cancelled")]
        found[name] = Published(rows[name], [truths[one.request_id] for one in inside], inside)
    return found


@pytest.mark.parametrize("name", [f"{protocol}-{name}" for protocol, names in ENDPOINTS.items() for name in names])
def test_what_is_published_of_an_odd_form_is_the_truth(name: str, published: dict[str, Published]) -> None:
    row, truths, records = published[name]
    form: Form = FORMS.load(name.split("-", 1)[1])
    assert records and {record.outcome for record in records} == {form.outcome}
    if form.outcome != "ok":
        assert row["output_tokens_mean"] == row["ttft_mean_s"] == ""  # a failure is no fast success
        return
    assert int(row["errors"]) == 0 and int(row["requests"]) > 0
    told = TOLD_AS.get(name.split("-", 1)[1])
    tokens = float(row["output_tokens_mean"])
    assert tokens == pytest.approx(told or TOKENS * form.choices) or (not form.told and told is None and tokens >= 1)
    if form.told:
        assert float(row["input_tokens_mean"]) == pytest.approx(fmean(truth.input_tokens for truth in truths), rel=0.01)
    if not form.spoken or form.hidden or form.choices > 1:
        assert row["itl_mean_s"] == ""  # which token came in which chunk is not known
    if not form.spoken:
        return
    # A first token that came in one read with later ones on a busy machine is marked, and known by its bounds alone.
    first = fmean(((record.first_token_ns or 0) if record.chunk_censored[0] else truth.token_ns[form.hidden])
                  - (record.send_ns or 0) for truth, record in zip(truths, records, strict=True)) / 1e9
    assert all((record.first_token_ns or 0) > truth.token_ns[form.hidden] - CLOCKS_NS
               for truth, record in zip(truths, records, strict=True))
    assert float(row["ttft_mean_s"]) == pytest.approx(first, rel=0.05, abs=0.01)
    tpot = fmean((truth.token_ns[-1] - truth.token_ns[form.hidden]) / 1e9 / (TOKENS - 1 - form.hidden)
                 for truth in truths)
    for column in ("tpot_mean_s", "itl_mean_s"):  # blank where the tokens, or those of each chunk, are not known
        if row[column] and not any(record.chunk_censored[0] for record in records):
            assert float(row[column]) == pytest.approx(tpot, rel=0.1), column
