"""A demand as the simulation takes it: the rate over a day, arrivals of any share of it, and lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.base.errors import FmloadError
from fmload_analysis.capacity.demand_file import DAY_S, DemandFile, Wave
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.replica import Job

Floats = np.ndarray[Any, np.dtype[np.float64]]
STEP_S = 10.0  # of the curve's grid
LEAST_WINDOW_S = 120.0
WARMUP = 0.15  # of a simulated window: an empty fleet fills up
_BEFORE = 0.35  # of the window lies before the busiest part of it begins


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the day that is simulated; figures are of what arrives from `from_s` on. Seconds of the day."""

    begin_s: float
    end_s: float
    warmup: float = WARMUP

    @property
    def from_s(self) -> float:
        """When the figures begin, after `begin_s`."""
        return (self.end_s - self.begin_s) * self.warmup


@dataclass(frozen=True, slots=True)
class Demand:
    """`at_s` → `per_s` is the rate over one day (or over the trace), linear in between; `inputs` and `outputs` are
    lengths that belong together, drawn for requests that have none. A trace has `instants`, and a length for each."""

    text: str
    at_s: Floats
    per_s: Floats
    inputs: Floats
    outputs: Floats
    spread: str = "poisson"
    burstiness: float = 1.0
    instants: Floats | None = None
    scale: float = 1.0  # of a trace: requests a request of it stands for
    turns: int = 1
    pause_s: float = 30.0
    reuse: float = 0.0

    @property
    def lasts_s(self) -> float:
        """The day, or the trace."""
        return float(self.at_s[-1])

    @property
    def mean_per_s(self) -> float:
        """Requests a second on average."""
        return float(self._integrated()[-1]) / self.lasts_s

    @property
    def peak_per_s(self) -> float:
        """The highest rate."""
        return float(self.per_s.max())

    @property
    def uncached(self) -> float:
        """Tokens of a prompt on average that need a prefill, where every session stays with its replica."""
        return float(self.inputs.mean()) * (1 - self.reuse * (self.turns - 1) / self.turns)

    def window(self, requests: int, share: float, least_s: float = LEAST_WINDOW_S) -> Window:
        """The busiest part, long enough for so many requests of a share of the demand; the whole where that is less.
        From a trace's beginning on all requests count, those that find the fleet empty, too."""
        length = max(requests / (share * self.peak_per_s), least_s)
        few = self.instants is not None and float(self._integrated()[-1]) * share <= requests
        if few or length >= self.lasts_s:
            return self._from(0.0, self.lasts_s)
        if float(np.ptp(self.per_s)) < 1e-9 * self.peak_per_s:
            return Window(0.0, length)
        begin_s = self._busiest(length * (1 - _BEFORE)) - length * _BEFORE
        return self._from(begin_s, length)

    def steepest(self, startup_s: float, least_s: float) -> Window:
        """The part in which the rate grows the most while a replica starts: what autoscaling is tried by."""
        length = min(max(least_s, 2 * startup_s + 600.0), self.lasts_s)
        later = np.interp(np.minimum(self.at_s + startup_s, self.lasts_s), self.at_s, self.per_s)
        growth = later - self.per_s
        return self._from(float(self.at_s[int(np.argmax(growth))]) - _BEFORE * length, length)

    def _from(self, begin_s: float, length: float) -> Window:
        begin_s = min(max(begin_s, 0.0), self.lasts_s - length)
        return Window(begin_s, begin_s + length, 0.0 if self.instants is not None and not begin_s else WARMUP)

    def _busiest(self, length: float) -> float:
        sums = self._integrated()
        ends = np.interp(np.minimum(self.at_s + length, self.lasts_s), self.at_s, sums)
        return float(self.at_s[int(np.argmax(ends - sums))])

    def _integrated(self) -> Floats:
        return _sums(self.at_s, self.per_s)

    def jobs(self, model: ReplicaModel, window: Window, share: float, seed: int) -> list[Job]:
        """The requests of a share of the demand in the window, by their arrivals after its beginning.

        The same seed draws alike for every share: what comes at another share comes sooner or later, and is as long.
        """
        draw = np.random.default_rng([seed, 1])
        if self.instants is not None:
            at_s, places = self._thinned(self.instants, window, share, seed)
        else:
            at_s = self._arrivals(window, share, seed)
            places = draw.integers(len(self.inputs), size=len(at_s)).tolist()
        sessions, known = self._sessions(at_s, seed)
        return [Job(number, float(at_s[number]), float(self.inputs[place]), model.steps(float(self.outputs[place])),
                    sessions[number], 0 <= sessions[number] < known) for number, place in enumerate(places)]

    def _arrivals(self, window: Window, share: float, seed: int) -> Floats:
        """Arrivals of one a second through the inverse of the integrated rate (the time-rescaling theorem)."""
        sums = self._integrated() * share
        first, last = np.interp([window.begin_s, window.end_s], self.at_s, sums)
        rarest = min(self.burstiness, 1.0) if self.spread == "gamma" else 1.0
        enough = (last - first) * 1.2 + 10 * np.sqrt((last - first) / rarest) + 50 / rarest
        units = self._units(int(enough), share, seed)
        units = units[units < last - first] + first
        return np.asarray(np.interp(units, sums, self.at_s) - window.begin_s)

    def _units(self, count: int, share: float, seed: int) -> Floats:
        """Instants with a mean gap of 1. Of bursts a share is what chance picks of all requests: a gap is then as many
        of the whole as a geometric distribution says, and their sum is again gamma."""
        draw = np.random.default_rng([seed, 0])
        if self.spread == "constant":
            return np.arange(count, dtype=float)
        if self.spread == "gamma":
            gaps = draw.geometric(share, count) if share < 1 else np.ones(count)
            return np.cumsum(draw.gamma(self.burstiness * gaps, share / self.burstiness))
        return np.cumsum(draw.gamma(1.0, 1.0, count))

    def _thinned(self, instants: Floats, window: Window, share: float, seed: int) -> tuple[Floats, list[int]]:
        """Each request of the trace `scale × share` times: the whole part of that always, the rest by chance; further
        copies come within the mean gap of ten requests, those beyond the trace's end at its beginning."""
        draw = np.random.default_rng([seed, 0])
        late_s = min(10 * self.lasts_s / max(len(instants), 1), self.lasts_s)
        after_s = (window.end_s - instants) % self.lasts_s  # that each comes before the window's end
        chosen = np.flatnonzero((after_s <= window.end_s - window.begin_s + late_s) | (instants < window.end_s)
                                & (instants >= window.begin_s))
        many = self.scale * share
        copies = np.floor(many) + (draw.random(len(chosen)) < many % 1)
        places = np.repeat(chosen, copies.astype(int))
        again = np.concatenate([[False], places[1:] == places[:-1]]) if len(places) else np.array([], dtype=bool)
        at_s = (instants[places] + draw.random(len(places)) * late_s * again) % self.lasts_s - window.begin_s
        inside = (at_s >= 0) & (at_s < window.end_s - window.begin_s)
        at_s, places = at_s[inside], places[inside]
        order = np.argsort(at_s, kind="stable")
        return at_s[order], places[order].tolist()

    def _sessions(self, at_s: Floats, seed: int) -> tuple[list[int], int]:
        """Which session each request is of, -1 without any: so many are under way that one asks again after its pause
        on average, each for its turns. At the beginning they are anywhere between their first turn and their last;
        those below the second value have asked before."""
        if self.turns < 2 or not len(at_s):
            return [-1] * len(at_s), 0
        draw = np.random.default_rng([seed, 2])
        at_once = max(1, round(len(at_s) / max(float(at_s[-1]), 1e-9) * self.pause_s))
        left = sorted(draw.integers(1, self.turns + 1, at_once).tolist())
        known = sum(turns < self.turns for turns in left)
        seats, new, found = list(range(at_once)), at_once, []
        for seat in draw.integers(at_once, size=len(at_s)).tolist():
            found.append(seats[seat])
            left[seat] -= 1
            if not left[seat]:
                seats[seat], left[seat], new = new, self.turns, new + 1
        return found, known


def demand_of(spec: DemandFile, text: str, inputs: Floats, outputs: Floats) -> Demand:
    """The demand that a file asks for; `inputs` and `outputs` are the run's own lengths. Raises FmloadError for a
    trace that cannot be read."""
    if spec.lengths is not None:
        inputs, outputs = np.array([float(spec.lengths.input_tokens)]), np.array([float(spec.lengths.output_tokens)])
    if spec.trace is not None:
        return _of_trace(spec, text, inputs, outputs)
    mean = spec.mean_per_s
    assert mean is not None
    at_s, shape = _curve(spec)
    per_s = shape * mean / (float(_sums(at_s, shape)[-1]) / DAY_S)
    if spec.flash:
        crowd = _crowd(spec, at_s)
        if not per_s[crowd > 1].any():
            raise FmloadError(f"{text}: flash.at: no request comes at that time of the day, and a multiple of none is "
                              "none", hint="give the day a rate above 0 there, or move the flash")
        per_s = per_s * crowd
    sessions = spec.sessions
    return Demand(text, at_s, per_s, inputs, outputs, spec.spread, spec.burstiness,
                  turns=sessions.turns if sessions else 1, pause_s=sessions.pause_s if sessions else 30.0,
                  reuse=sessions.repeats if sessions else 0.0)


def _sums(at_s: Floats, values: Floats) -> Floats:
    """The area below the line through the values, from the first instant to each."""
    return np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(at_s))])


def _curve(spec: DemandFile) -> tuple[Floats, Floats]:
    at_s = np.arange(0, DAY_S + STEP_S, STEP_S)
    if spec.day is None:
        return at_s, np.ones(len(at_s))
    if isinstance(spec.day, Wave):
        return at_s, spec.day.low + (1 - spec.day.low) * (1 - np.cos(2 * np.pi * at_s / DAY_S)) / 2
    levels = np.array([*spec.day, spec.day[0]], dtype=float)
    return at_s, np.interp(at_s, np.linspace(0, DAY_S, len(levels)), levels)


def _crowd(spec: DemandFile, at_s: Floats) -> Floats:
    """The factor of the flash crowd at each instant: it rises, stays and falls in straight lines."""
    flash = spec.flash
    assert flash is not None
    rise_s = max(flash.rise_s, STEP_S)
    corners = np.cumsum([flash.at_s, rise_s, flash.lasts_s, rise_s])
    return np.asarray(np.interp(at_s, corners, [1.0, flash.times, flash.times, 1.0]))


def _of_trace(spec: DemandFile, text: str, inputs: Floats, outputs: Floats) -> Demand:
    from fmload.plugins import SOURCES

    assert spec.trace is not None
    items = list(SOURCES.load(spec.trace.source).from_spec(spec.trace).items("capacity"))
    instants = np.array([item.offset_s for item in items])
    if spec.lengths is None:
        typical = float(outputs.mean())
        inputs = np.array([float(max(item.arrival.input_tokens, 1)) for item in items])
        outputs = np.array([float(item.arrival.output_tokens or typical) for item in items])
    else:
        inputs, outputs = np.repeat(inputs, len(items)), np.repeat(outputs, len(items))
    lasts_s = max(float(instants[-1]) * len(items) / max(len(items) - 1, 1), 1.0)  # a mean gap after the last one
    scale = spec.mean_per_s * lasts_s / len(items) if spec.mean_per_s else 1.0
    bins = max(2, min(int(lasts_s / STEP_S), len(items) // 20))
    counts, edges = np.histogram(instants, bins, (0.0, lasts_s))
    per_s = counts * scale / np.diff(edges)
    at_s = np.concatenate([[0.0], (edges[1:] + edges[:-1]) / 2, [lasts_s]])
    return Demand(text, at_s, np.concatenate([per_s[:1], per_s, per_s[-1:]]), inputs, outputs, instants=instants,
                  scale=scale)
