"""The whole product in every protocol: one run over real sockets, and what is published of each beside the truth."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

import pytest
import yaml

from fmload.emulator.truth import Truth
from fmload.model.record import Record
from tests.load_rig import emulator, fmload_run, wait_until
from tests.protocols import PROTOCOLS

TOKENS = 12
CLOCKS_NS = 1_000_000  # the kernel's stamps are of another clock, and put on this one
# Those that stand for hosts of their own are asked at the emulator's.
PATHS = {"openai on Azure": "", "gemini on Vertex": "/v1/projects/p/locations/l"}
pytestmark = pytest.mark.alone


class Published(NamedTuple):
    """Of one endpoint: its row of summary.csv, the server's truth and the records."""

    row: dict[str, str]
    truths: Sequence[Truth]
    records: Sequence[Record]


def endpoint(name: str, url: str) -> dict[str, Any]:
    one = PROTOCOLS[name]
    return {"name": name.replace(" ", "-"), "protocol": one.protocol, "model": "emulated", **one.keys,
            "url": url + PATHS.get(name, ""), "api_key_env": "THE_KEY",
            **({"api_key_header": "api-key"} if name == "openai on Azure" else {})}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """By endpoint, of one run."""
    folder = tmp_path_factory.mktemp("protocols")
    with pytest.MonkeyPatch.context() as patch, emulator(folder, "--ttft", "60ms", "--gap", "25ms") as server:
        patch.setenv("THE_KEY", "k-of-the-test")
        path = folder / "run.yml"
        path.write_text(yaml.safe_dump({
            "name": "protocols", "endpoints": [endpoint(name, server.url) for name in PROTOCOLS],
            "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 20, "output_tokens": TOKENS,
                         "count": 400}],
            "load": {"concurrency": [1], "ramp": 0, "warmup": 0, "window": "5s", "drain": "10s", "workers": 1,
                     "side_by_side": True}}))
        with fmload_run(folder, path) as run:
            wait_until(lambda: run.results.audit_json.exists() or run.process.poll() is not None, 240, "the figures")
        truths = {truth.request_id: truth for truth in server.requests()}
        of_endpoint: dict[str, list[Record]] = defaultdict(list)
        for record in run.records():
            of_endpoint[record.endpoint].append(record)
        assert run.results.audit_json.exists() and run.results.summary_csv.exists(), run.output()
        with run.results.summary_csv.open() as file:
            rows = {row["endpoint"]: row for row in csv.DictReader(file)}
        windows = {one["endpoint"]: (one["window_start_ns"], one["window_end_ns"]) for one in run.stages()}
    found = {}
    for name, records in of_endpoint.items():
        start, end = windows[name]
        inside = [one for one in records if start <= (one.send_ns or 0) < end and one.request_id in truths
                  and one.outcome not in ("censored", "cancelled")]
        found[name] = Published(rows[name], [truths[one.request_id] for one in inside], inside)
    return found


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_published_of_a_protocol_is_the_truth(name: str, published: dict[str, Published]) -> None:
    row, truths, records = published[name.replace(" ", "-")]
    assert records and {(record.outcome, record.error) for record in records} == {("ok", None)}
    assert int(row["errors"]) == 0 and float(row["output_tokens_mean"]) == pytest.approx(TOKENS)
    if "counts" in PROTOCOLS[name].has:
        assert {record.tokens_source for record in records} == {"server"}
        assert float(row["input_tokens_mean"]) == pytest.approx(fmean(one.input_tokens for one in truths), rel=0.01)
    # A first token that came in one read with later ones on a busy machine is known by its bounds alone.
    pairs = list(zip(truths, records, strict=True))
    first = fmean(((record.first_token_ns or 0) if record.chunk_censored[0] else truth.token_ns[0])
                  - (record.send_ns or 0) for truth, record in pairs) / 1e9
    assert all((record.first_token_ns or 0) > truth.token_ns[0] - CLOCKS_NS for truth, record in pairs)
    assert float(row["ttft_mean_s"]) == pytest.approx(first, rel=0.05, abs=0.01)
    tpot = fmean((truth.token_ns[-1] - truth.token_ns[0]) / 1e9 / (TOKENS - 1) for truth in truths)
    if not any(record.chunk_censored[0] for record in records):
        assert float(row["tpot_mean_s"]) == pytest.approx(tpot, rel=0.1)
        if row["itl_mean_s"]:  # blank where no count says what each chunk held
            assert float(row["itl_mean_s"]) == pytest.approx(tpot, rel=0.1)
    assert bool(row["itl_mean_s"]) == PROTOCOLS[name].each
