"""The model of a replica, fitted to a run of an engine whose figures are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import ENGINE, NETWORK_MS, measured
from handmade import request, stage, write

from fmload.base.errors import FmloadError
from fmload_analysis.capacity.evidence import seen
from fmload_analysis.capacity.fit import Fitted, fit
from fmload_analysis.capacity.regression import non_negative, robust, variation
from fmload_analysis.run import open_run


def fitted(root: Path) -> Fitted:
    return fit("a", seen(open_run(root), "a"))


def test_the_fit_finds_the_figures_of_the_engine(tmp_path: Path) -> None:
    measured(tmp_path)
    found = fitted(tmp_path)
    model = found.model
    assert found.error < 0.03
    assert model.slots == ENGINE.max_batch
    assert found.full
    for batch, held in ((1, 300), (8, 4000), (16, 8000)):
        assert model.step_s(batch, held) == pytest.approx(ENGINE.decode_s(batch, held), rel=0.03)
    assert model.prefill_s(500) == pytest.approx(ENGINE.prefill_s(1, 500), rel=0.05)
    alone_s = model.prefill_s(500) + model.delay_s(500) + (model.step_s(1, 0) if model.batching == "chunked" else 0)
    assert alone_s == pytest.approx(ENGINE.prefill_s(1, 500) + ENGINE.decode_s(1, 0) + NETWORK_MS / 1000, rel=0.03)
    assert found.warnings == ()


def test_an_engine_whose_prompts_stop_the_decoding_is_told_from_one_with_chunks(tmp_path: Path) -> None:
    measured(tmp_path, model=replace(ENGINE, prefill_chunk_tokens=None))
    found = fitted(tmp_path)
    assert found.model.batching == "alone"
    assert found.error < 0.03


def test_prompts_longer_than_a_chunk_tell_its_size(tmp_path: Path) -> None:
    measured(tmp_path, model=replace(ENGINE, prefill_chunk_tokens=256))
    found = fitted(tmp_path)
    assert (found.model.batching, found.model.chunk_tokens) == ("chunked", 256)
    assert found.error < 0.06


def test_a_run_far_from_its_knee_is_told_and_holds_no_more_than_was_seen(tmp_path: Path) -> None:
    measured(tmp_path, rates=(0.5, 2))
    found = fitted(tmp_path)
    assert found.model.slots < ENGINE.max_batch
    assert not found.full
    assert any("no request was seen waiting for a full batch" in text for text in found.warnings)


@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.4])
def test_how_far_steps_vary_is_found(tmp_path: Path, jitter: float) -> None:
    measured(tmp_path, model=replace(ENGINE, jitter=jitter))
    found = fitted(tmp_path)
    assert found.model.jitter == pytest.approx(jitter, rel=0.2, abs=0)
    assert found.error < 0.07


@pytest.mark.parametrize(("steps", "stamps"), [(0.0, 0.2), (0.3, 0.0), (0.3, 0.2)])
def test_stamps_that_come_late_are_no_steps_that_vary(steps: float, stamps: float) -> None:
    draw = np.random.default_rng(1)
    lasting = np.exp(draw.normal(0, steps, 20_001))
    gaps = np.diff(np.cumsum(lasting) + draw.exponential(stamps, 20_001))
    found = variation(gaps[:-1], gaps[1:], np.ones(len(gaps) - 1))
    assert found == pytest.approx(steps, rel=0.15, abs=0.08)


def test_every_stage_is_compared_with_its_measurement(tmp_path: Path) -> None:
    measured(tmp_path)
    found = fitted(tmp_path)
    assert {(row.stage, row.figure) for row in found.rows} == {
        (number, figure) for number in range(4)
        for figure in ("ttft_p50", "ttft_p95", "e2e_p50", "e2e_p95", "requests_per_s")}
    assert all(row.measured > 0 for row in found.rows)


@pytest.mark.parametrize(("streams", "words"), [
    (0, "no stage has a streamed answer"),
    (1, "never were two requests answered at the same time"),
])
def test_a_run_that_cannot_tell_is_refused_with_what_to_measure(tmp_path: Path, streams: int, words: str) -> None:
    records = [request(f"r{i}", i * 1000, [i * 1000 + 100 + 20 * k for k in range(30)]) for i in range(20 * streams)]
    write(tmp_path, [stage(window_ms=20_000)], records)
    with pytest.raises(FmloadError, match=words) as error:
        fitted(tmp_path)
    assert "knee" in str(error.value.hint)


def test_least_squares_never_go_below_nothing() -> None:
    draw = np.random.default_rng(1)
    columns = draw.random((500, 3))
    found = non_negative(columns, columns @ np.array([2.0, -0.5, 1.0]))
    assert (found >= 0).all()
    assert found[1] == 0


def test_a_stall_among_many_gaps_moves_no_coefficient() -> None:
    columns = np.column_stack([np.ones(400), np.arange(400) % 8])
    values = columns @ np.array([0.03, 0.002])
    values[::50] += 2.0
    assert robust(columns, values) == pytest.approx([0.03, 0.002], rel=1e-6)
