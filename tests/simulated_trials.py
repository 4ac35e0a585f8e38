"""Trials of a search over stacks on a virtual clock: the emulator's engine in a closed loop, searched for its highest
load by the rules of a real one, judged and bounded by the same functions. A whole search takes seconds."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from fmload.config.objectives import parse_objectives
from fmload.emulator.batching import BatchModel
from fmload.emulator.capacity import Simulated, closed_loop
from fmload.emulator.engine_settings import changed
from fmload.emulator.profiles import PROFILES
from fmload.model.stack import Candidate, Figure, StackSearch, Trial
from fmload.search.bracket import Bracket, Tried, bracket_of, next_load
from fmload.search.verdicts import confidence_of_look, looks
from fmload.stacks.driver import Cost
from fmload.stacks.figure import span
from fmload.stacks.strategy import Ask
from fmload.statistics.intervals import throughput_interval
from fmload.statistics.limits import of_samples

WINDOW_S, WARMUP_S, WITHIN, EXTEND = 120.0, 10.0, 0.05, 2
OBJECTIVES = parse_objectives({"ttft_p90": "1s", "tpot_p90": "100ms"})
SETTINGS = {"max_num_seqs": ("32", "4", "8", "16"), "max_num_batched_tokens": ("2048", "128", "512"),
            "kv_blocks": ("2250", "250", "600", "1200")}
HOURLY = {"2250": 1.006, "1200": 0.8, "600": 0.69, "250": 0.68}  # USD; memory has its price


Tries = dict[float, tuple[str, tuple[float | None, float | None], float]]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a trial looks for its highest load."""

    within: float
    over: str = "concurrency"
    from_: float = 1.0
    to: float = 64.0
    near: float | None = None


def candidates() -> list[Candidate]:
    """48, of which the first is the default."""
    found = itertools.product(*SETTINGS.values())
    return [Candidate(f"e-{number:02d}", "e", dict(zip(SETTINGS, values, strict=True)), number == 0)
            for number, values in enumerate(found)]


def model_of(candidate: Candidate) -> BatchModel:
    """The engine that it is."""
    settings = ",".join(f"{key}={value}" for key, value in candidate.settings.items())
    model = changed(PROFILES["llama3-8b-g5.xlarge"], settings).model
    assert model is not None
    return replace(model, jitter=0.05)


def measured(candidate: Candidate, share: float, seed: int, window_s: float = WINDOW_S, within: float = WITHIN,
             near: float | None = None) -> tuple[Figure, float, str, float | None]:
    """The figure of one trial in USD per 1M output tokens, the seconds of its windows, its status, and the
    highest load that meets."""
    model, spent_s = model_of(candidate), 0.0
    tried: Tries = {}
    where = Span(min(0.5, within / share), near=near)
    while (load := next_load(where, _bracket(tried))) is not None:
        drawn = crc32(f"{candidate.name} {share} {seed} {load}".encode())
        verdict, ends, rate, lasted_s = _stage(model, int(load), window_s * share, drawn)
        tried[load], spent_s = (verdict, ends, rate), spent_s + lasted_s
    low = _bracket(tried).low
    if low is None:
        return Figure(), spent_s, "missed" if tried[min(tried)][0] == "fails" else "measured", None
    _, own, rate = tried[low]
    missed = [(at, ends[1]) for at, (verdict, ends, _) in tried.items() if at > low and verdict == "fails"]
    least, most = span(own, missed, judged=True)
    usd = HOURLY[candidate.settings["kv_blocks"]] / 3600 * 1e6
    return Figure(usd / rate, usd / most if most else None, usd / least if least else None), spent_s, "measured", low


def _bracket(tried: Tries) -> Bracket:
    return bracket_of(Tried(at, one[0] == "meets", one[0] == "unclear") for at, one in tried.items())


def _stage(model: BatchModel, users: int, window_s: float, seed: int,
           ) -> tuple[str, tuple[float | None, float | None], float, float]:
    """Verdict, interval of output tokens a second, their rate, and how long the window was."""
    draw = random.Random(seed)
    lengths = [(max(20, round(draw.gauss(400, 80))), max(8, round(draw.gauss(24, 4)))) for _ in range(512)]
    confidence = confidence_of_look(0.95, EXTEND)
    for look in looks(EXTEND):
        end_s = WARMUP_S + look * window_s
        done = closed_loop(model, users, end_s + 10, lambda number: lengths[number % 512], seed=seed % 2**31)
        verdict = _verdict([one for one in done if WARMUP_S <= one.started_s < end_s], confidence)
        if verdict != "unclear":
            break
    inside = [one for one in done if WARMUP_S <= one.started_s + one.e2e_s < end_s]
    ends = np.array([one.started_s + one.e2e_s - WARMUP_S for one in inside])
    tokens = np.array([float(one.output_tokens) for one in inside])
    found = throughput_interval(ends, tokens, look * window_s)
    return (verdict, (found.low, found.high) if found else (None, None),
            float(tokens.sum()) / (look * window_s), look * window_s)


def _verdict(done: list[Simulated], confidence: float) -> str:
    ones = np.ones(len(done), dtype=np.int64)
    values = {"ttft": [one.ttft_s for one in done], "tpot": [one.tpot_s for one in done]}
    results = {of_samples(limit, (np.array(values[limit.metric]), ones, np.arange(len(done))), confidence).result
               for limit in OBJECTIVES}
    return "fails" if "fails" in results else "unclear" if "unclear" in results else "meets"


class SimulatedBench:
    """A bench of simulated trials. Its time is that of the windows."""

    def __init__(self, search: StackSearch) -> None:
        self._by_name = {one.name: one for one in search.candidates}
        self._seed, self._begun = search.seed, list[Trial]()

    def begin(self, trial: Trial, left_usd: float | None) -> None:
        self._begun.append(trial)

    def wait(self) -> Trial:
        trial = self._begun.pop(0)
        one = self._by_name[trial.candidate]
        figure, spent_s, status, highest = measured(one, trial.share, self._seed, near=trial.near)
        hourly = HOURLY[self._by_name[trial.candidate].settings["kv_blocks"]]
        return replace(trial, status=status, figure=figure, measured_s=spent_s, took_s=spent_s,
                       facts={"load": "", "highest": highest}, usd=hourly * spent_s / 3600)

    def machine_of(self, candidate: str) -> str | None:
        return None

    def expected(self, ask: Ask) -> Cost:
        seconds = 8 * WINDOW_S * ask.share
        return Cost(seconds, HOURLY[self._by_name[ask.candidate].settings["kv_blocks"]] * seconds / 3600)
