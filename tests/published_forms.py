"""Runs of the whole product against the emulator's odd forms: what is published of each beside the server's log."""

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
from tests.load_rig import Run, emulator, fmload_run, wait_until

TOKENS = 12
CLOCKS_NS = 1_000_000  # the kernel's stamps are of another clock, and put on this one


class Published(NamedTuple):
    """Of one endpoint: its row of summary.csv, the server's truth and the records of its window."""

    row: dict[str, str]
    truths: list[Truth]
    records: list[Record]


def measured(folder: Path, endpoints: list[dict[str, Any]], *options: str, **keys: Any) -> dict[str, Published]:
    """One run, all endpoints side by side, each with one user; by endpoint. The `url` of each is the emulator's, with
    what the entry has as `url` behind it."""
    with emulator(folder, "--ttft", "60ms", "--gap", "25ms", *options) as server:
        path = folder / "run.yml"
        path.write_text(yaml.safe_dump({
            "name": "odd", "endpoints": [{**one, "url": server.url + one.get("url", "")} for one in endpoints],
            "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 20, "output_tokens": TOKENS,
                         "count": 400}],
            "load": {"concurrency": [1], "ramp": 0, "warmup": 0, "window": "5s", "drain": "10s", "workers": 1,
                     "side_by_side": True}, **keys}))
        with fmload_run(folder, path) as run:
            # The pictures of so many endpoints take minutes: the figures are there before.
            wait_until(lambda: run.results.audit_json.exists() or run.process.poll() is not None, 240, "the figures")
        return _by_endpoint(run, {truth.request_id: truth for truth in server.requests()})


def _by_endpoint(run: Run, truths: dict[str, Truth]) -> dict[str, Published]:
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


def agree(one: Published, form: Form, tokens: float | None, streamed: bool = True) -> None:
    """Each published figure is the truth: `tokens` that an answer has by what is told of it, None where nothing is. An
    answer that is not `streamed` is all there with its one chunk."""
    row, truths, records = one
    assert records and {record.outcome for record in records} == {form.outcome}, records[0].error if records else None
    if form.outcome != "ok":
        assert row["output_tokens_mean"] == row["ttft_mean_s"] == ""  # a failure is no fast success
        return
    assert int(row["errors"]) == 0 and int(row["requests"]) > 0
    made = float(row["output_tokens_mean"])
    assert made == pytest.approx(tokens) if tokens is not None else made >= 1
    if form.told:
        assert float(row["input_tokens_mean"]) == pytest.approx(fmean(truth.input_tokens for truth in truths), rel=0.01)
    if not form.spoken or form.hidden or form.choices > 1:
        assert row["itl_mean_s"] == ""  # which token came in which chunk is not known
    if not streamed:
        assert row["tpot_mean_s"] == row["itl_mean_s"] == "" and row["ttft_mean_s"] == row["e2e_mean_s"]
    if form.spoken:
        _times_agree(one, form, streamed)


def _times_agree(one: Published, form: Form, streamed: bool) -> None:
    row, truths, records = one
    # A first token that came in one read with later ones on a busy machine is marked, and known by its bounds alone.
    first = fmean(((record.first_token_ns or 0) if record.chunk_censored[0] else truth.token_ns[form.hidden])
                  - (record.send_ns or 0) for truth, record in zip(truths, records, strict=True)) / 1e9
    assert all((record.first_token_ns or 0) > truth.token_ns[form.hidden] - CLOCKS_NS
               for truth, record in zip(truths, records, strict=True))
    assert float(row["ttft_mean_s"]) == pytest.approx(first, rel=0.05, abs=0.01)
    if not streamed:
        return
    tpot = fmean((truth.token_ns[-1] - truth.token_ns[form.hidden]) / 1e9 / (TOKENS - 1 - form.hidden)
                 for truth in truths)
    for column in ("tpot_mean_s", "itl_mean_s"):  # blank where the tokens, or those of each chunk, are not known
        if row[column] and not any(record.chunk_censored[0] for record in records):
            assert float(row[column]) == pytest.approx(tpot, rel=0.1), column
