"""Two replicas of an engine whose prompts ride on its steps, and whose steps vary by chance, as llama.cpp's server:
fitted to a run of one, and held to the engine itself."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from engines import measured, served

from fmload.emulator.batching import BatchModel
from fmload.emulator.engine import Job as EmulatedJob
from fmload_analysis.capacity.evidence import seen
from fmload_analysis.capacity.figures import of_window
from fmload_analysis.capacity.fit import fit
from fmload_analysis.capacity.fleet import Fleet, simulate
from fmload_analysis.capacity.replica import Job
from fmload_analysis.run import open_run

ENGINE = BatchModel(4, 400.0, 0.004, 0.004, 0.0, 0.005, prefill_chunk_tokens=2048, jitter=0.3)
LENGTHS = (20, 50), (10, 54)  # of prompts and answers
LASTS_S = 600.0


def tails(root: Path, seed: int) -> tuple[float, float]:
    """TTFT p95 of two replicas at 40 % of what they hold for the most: predicted, and the engine's own."""
    measured(root, (0.8, 1.3, 2.0), 120, ENGINE, lengths=LENGTHS, seed=seed)
    model = fit("a", seen(open_run(root), "a")).model
    draw, at_s, arrivals = random.Random(seed), 0.0, []
    while (at_s := at_s + draw.expovariate(3.0)) < LASTS_S:
        arrivals.append((at_s, EmulatedJob(draw.randint(*LENGTHS[0]), draw.randint(*LENGTHS[1]), owner=[])))
    jobs = [Job(number, at, float(job.input_tokens), job.output_tokens) for number, (at, job) in enumerate(arrivals)]
    predicted = of_window(model, simulate(Fleet(model, 2, seed=seed), jobs, LASTS_S), 0.0, LASTS_S)["ttft_p95"]
    for replica in range(2):
        served(ENGINE, arrivals[replica::2], seed * 2 + replica)
    return predicted, float(np.percentile([job.owner[0] / 1e9 - at for at, job in arrivals], 95))


def test_the_tail_of_two_replicas_whose_steps_vary_is_as_long_as_the_engines(tmp_path: Path) -> None:
    off = [predicted / true - 1 for predicted, true in (tails(tmp_path / str(seed), seed) for seed in range(4))]
    assert np.mean(off) == pytest.approx(0.0, abs=0.08)
