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
    if protocol == "sagemaker":
        return {**keys, "payload_format": "openai", "endpoint_name": "emulated", "region": "us-east-1",
                "emulated": "steady"}
    return {**keys, "region": "us-east-1", "emulated": "steady"}


OPENAI = [name for name in FORMS.in_order() if name not in OF_BEDROCK]
ENDPOINTS = {"openai": OPENAI, "sagemaker": OPENAI[::6], "bedrock": list(OF_BEDROCK)}


class Published(NamedTuple):
    """Of one endpoint: its row of summary.csv, the server's truth and the records."""

    row: dict[str, str]
    truths: list[Truth]
    records: list[Record]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """By endpoint, of one run for OpenAI's forms and one for AWS's."""
    found: dict[str, Published] = {}
    for protocols in (("openai",), ("sagemaker", "bedrock")):
        found |= measured(tmp_path_factory.mktemp(protocols[0]), protocols)
    return found


def measured(folder: Path, protocols: tuple[str, ...]) -> dict[str, Published]:
    with emulator(folder, "--ttft", "60ms", "--gap", "25ms") as server:
        path = folder / "run.yml"
        path.write_text(yaml.safe_dump({
            "name": "odd", "endpoints": [endpoint(name, server.url, protocol) for protocol in protocols
                                         for name in ENDPOINTS[protocol]],
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
    return {name: Published(rows[name], [truths[one.request_id] for one in of_it if one.request_id in truths], of_it)
            for name, of_it in records.items()}


@pytest.mark.parametrize("name", [f"{protocol}-{name}" for protocol, names in ENDPOINTS.items() for name in names])
def test_what_is_published_of_an_odd_form_is_the_truth(name: str, published: dict[str, Published]) -> None:
    row, truths, records = published[name]
    form: Form = FORMS.load(name.split("-", 1)[1])
    assert {record.outcome for record in records if record.outcome not in ("censored", "cancelled")} == {form.outcome}
    if form.outcome != "ok":
        assert int(row["requests"]) == 0  # of successes
        return
    assert int(row["errors"]) == 0 and int(row["requests"]) > 0
    told = TOLD_AS.get(name.split("-", 1)[1])
    tokens = float(row["output_tokens_mean"])
    assert tokens == pytest.approx(told or TOKENS) or (not form.told and told is None and tokens >= 1)
    if form.told:
        assert float(row["input_tokens_mean"]) == pytest.approx(fmean(truth.input_tokens for truth in truths), rel=0.01)
    if form.spoken:
        first = fmean((truth.token_ns[0] - truth.received_ns) / 1e9 for truth in truths if truth.token_ns)
        assert float(row["ttft_mean_s"]) == pytest.approx(first, abs=0.02)
    if form.spoken and form.told and row["tpot_mean_s"]:
        gaps = [(truth.token_ns[-1] - truth.token_ns[0]) / 1e9 / (TOKENS - 1) for truth in truths
                if len(truth.token_ns) > 1]
        assert float(row["tpot_mean_s"]) == pytest.approx(fmean(gaps), rel=0.1)
    if row["itl_mean_s"]:  # where it is published, it is right; where tokens of chunks are not known, it is blank
        gaps = [(b - a) / 1e9 for truth in truths for a, b in zip(truth.token_ns, truth.token_ns[1:], strict=False)]
        assert float(row["itl_mean_s"]) == pytest.approx(fmean(gaps), rel=0.1)
