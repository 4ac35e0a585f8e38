"""The records of a stage, read once: of each request its columns, of the chunks only samples and sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fmload.config.objectives import Objective
from fmload.metrics.definitions import (
    METRICS,
    NS,
    Bools,
    Columns,
    Floats,
    Gaps,
    Ints,
    Sound,
    gaps,
    icl,
    itl,
    per_token_s,
)
from fmload_analysis.records.columns import Batch
from fmload_analysis.records.parts import parts
from fmload_analysis.records.words import Words
from fmload_analysis.stage import streams, tasks
from fmload_analysis.stage.judging import above_of, gaps_of
from fmload_analysis.stage.plain_gaps import PlainGaps, one_each, plain_gaps
from fmload_analysis.stage.safe_checks import rows_of
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.streams import Arrivals
from fmload_analysis.stage.table import Table, kept_metrics
from fmload_analysis.stage.windows import begun_ns, counted_tokens, delivered_tokens, inside, tokens_inside

KINDS = ("itl", "icl")


class GapSamples:
    """The gaps between chunks of the requests that count: known ones, and the bounds of those that are censored.

    Most are of chunks of one token, where ITL and ICL are the same: those are held once."""

    def __init__(self) -> None:
        self._both = Samples()
        self._own = {name: Samples() for name in KINDS}
        self.low = {name: Samples() for name in KINDS}
        self.high = {name: Samples() for name in KINDS}
        self.stamped_ns = dict.fromkeys(KINDS, 0)  # over all gaps, censored ones too
        self._seeking = False

    def take(self, columns: Columns, good: Bools, plain: PlainGaps | None = None) -> None:
        """More requests, of which the `good` ones count; `plain`: their gaps, where chunks are of one token each."""
        if plain is not None and plain.hold(good):
            self._take_plain(plain.of(good))
        else:
            self._take_any(gaps(columns), good)

    def _take_plain(self, gap_ns: Ints) -> None:
        self._both.add(gap_ns / NS)
        if not self._seeking:
            total_ns = int(gap_ns.sum())
            for name in KINDS:
                self.stamped_ns[name] += total_ns

    def _take_any(self, found: Gaps, good: Bools) -> None:
        kept = good[found.row]
        known, unknown = kept & found.known, kept & ~found.known
        any_unknown = bool(unknown.any())
        for name, function in (("itl", itl), ("icl", icl)):
            values, weights = function(found)
            counted = ~np.isnan(values)
            self._own[name].add(values[known & counted], weights[known & counted])
            if not self._seeking:
                self.stamped_ns[name] += int(found.gap_ns[kept & counted].sum())
            if any_unknown:
                bounded = unknown & counted
                self.low[name].add(per_token_s(found.low_ns[bounded], weights[bounded]), weights[bounded])
                self.high[name].add(found.high_ns[bounded] / NS, weights[bounded])

    @property
    def _all(self) -> list[Samples]:
        return [self._both, *self._own.values(), *self.low.values(), *self.high.values()]

    @property
    def exact(self) -> bool:
        """Whether every gap was kept; else percentiles are exact once all were taken a second time, after `seek`."""
        return all(samples.exact for samples in self._all)

    def seek(self, percentiles: Iterable[float], ranks: Mapping[str, Iterable[float | None]]) -> None:
        """What is taken from now on is what was taken before, to find these percentiles, and ranks by metric."""
        wanted, found = tuple(percentiles), []
        for name, known in self.known.items():
            found.append(known.bins_of(wanted, ranks.get(name, ())))
            found += [known.with_others(bounds[name]).bins_of(wanted) for bounds in (self.low, self.high)]
        bins, self._seeking = np.concatenate(found), True
        for samples in self._all:
            samples.seek(bins)

    @property
    def known(self) -> dict[str, Samples]:
        """The known gaps by the metric's name."""
        return {name: self._own[name].with_others(self._both) for name in KINDS}

    @property
    def censored(self) -> float:
        """Gaps between chunks that are known as intervals only."""
        return self.low["icl"].n

    @property
    def n(self) -> float:
        """All gaps between chunks."""
        return self._own["icl"].n + self._both.n + self.censored


def counts_in(begun: Floats, outcome: Words, window_ns: int) -> Bools:
    """Whether the gaps of each request count: it started inside the window and ended well."""
    return inside(begun, window_ns) & (outcome == "ok")


class Gathering:
    """What is kept of the batches of a stage."""

    def __init__(self, window_ns: int, objectives: Sequence[Objective] = ()) -> None:
        self.window_ns = window_ns
        self.objectives = objectives  # on gaps between tokens
        self.table = Table()
        self.gaps = GapSamples()
        self.chunks = 0
        self.arrivals = Arrivals(window_ns)
        self.sessions: set[str] = set()  # that the requests name

    def take(self, batch: Batch) -> None:
        """One more batch."""
        columns = batch.columns
        good = counts_in(begun_ns(columns), batch.outcome, self.window_ns)
        against = [self._take_chunks(part, good[rows]) for rows, part in parts(columns)]
        self.table.add({**self._rows(batch), **_joined(against)})
        self.sessions.update(str(note["session"]) for note in batch.notes or () if note and "session" in note)
        self.chunks += int(columns.chunk_counts[good].sum())

    def _take_chunks(self, columns: Columns, good: Bools) -> dict[str, Floats]:
        ones = one_each(columns)
        plain = plain_gaps(columns, ones)
        self.gaps.take(columns, good, plain)
        self.arrivals.take(columns.chunk_ns, columns.chunk_tokens, ones)
        return self._against_limits(columns, plain) if self.objectives else {}

    def take_again(self, columns: Columns, outcome: Words) -> None:
        """Chunks that were taken before, after `gaps.seek`."""
        good = counts_in(begun_ns(columns), outcome, self.window_ns)
        for rows, part in parts(columns):
            self.gaps.take(part, good[rows], plain_gaps(part, one_each(part)))

    def _rows(self, batch: Batch) -> dict[str, Any]:
        columns = batch.columns
        counted = columns.chunk_counts.astype(np.float64) if one_each(columns) else counted_tokens(columns)
        return {
            **{metric.name: metric.function(columns) for metric in kept_metrics()},
            "due": columns.scheduled_ns, "sent": columns.send_ns, "first_token": columns.first_token_ns,
            "first_answer": columns.first_answer_ns, "last_token": columns.last_token_ns, "end": columns.end_ns,
            "delivered": delivered_tokens(columns, counted),
            "tokens_inside": tokens_inside(columns, self.window_ns, counted),
            "address": batch.address, "cached_tokens": columns.cached_tokens,
            **sound_rows(columns.sound, columns.rows),
            "tenant": batch.tenant if batch.tenant is not None else Words([None], np.zeros(columns.rows, np.int8)),
            "choices": np.ones(columns.rows, np.int64) if columns.choices is None else columns.choices,
            "streamed": columns.streamed, "chunks": columns.chunk_counts, "first_chunk": columns.first_chunk_tokens,
            "hidden": columns.hidden_reasoning_tokens,
            "checks": np.full(columns.rows, np.nan) if columns.checks_s is None else columns.checks_s,
            "outcome": batch.outcome, "tokens_source": batch.tokens_source, "stamp": batch.stamp,
            "finish_reason": batch.finish_reason,
            "remark": batch.remark, "tokens_known": columns.chunk_tokens_known & columns.single,
            "first_late": streams.first_late(columns),
            "first_earliest": streams.earliest_first_ns(columns, batch.headers_ns),
            "prompt": np.fromiter(map(hash, batch.prompt_id), np.int64, columns.rows), "lag_max": batch.lag_max_ns / NS,
            "prompt_tokens": batch.prompt_tokens, "server_input_tokens": batch.server_input_tokens,
            "max_output_tokens": batch.max_output_tokens, **batch.billed,
            **rows_of(batch.checks, columns.rows), **tasks.rows_of(batch.notes, columns.rows),
        }

    def _against_limits(self, columns: Columns, plain: PlainGaps | None) -> dict[str, Floats]:
        """Of each request, the gaps that each objective on tokens is about, and those above its limit."""
        if plain is not None and plain.hold(np.ones(columns.rows, dtype=bool)):
            return self._plain_against_limits(columns, plain)
        found, kept_of = gaps(columns), {}
        for objective in self.objectives:
            values, weights = METRICS[objective.metric].function(found)
            kept = found.known & ~np.isnan(values)
            above = kept & (values > objective.limit)
            for name, rows_of_it in ((gaps_of(objective), kept), (above_of(objective), above)):
                counted = np.bincount(found.row[rows_of_it], weights[rows_of_it].astype(np.float64), columns.rows)
                kept_of[name] = np.asarray(counted, np.float64)
        return kept_of

    def _plain_against_limits(self, columns: Columns, plain: PlainGaps) -> dict[str, Floats]:
        kept_of = {}
        for objective in self.objectives:
            kept_of[gaps_of(objective)] = np.maximum(columns.chunk_counts - 1, 0).astype(np.float64)
            kept_of[above_of(objective)] = plain.above(objective.limit).astype(np.float64)
        return kept_of


def _joined(parts_of_it: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Columns of which each part has some rows."""
    return {name: np.concatenate([part[name] for part in parts_of_it]) for name in parts_of_it[0]}


def sound_rows(sound: Sound | None, rows: int) -> dict[str, Floats]:
    """Seconds of sound that were sent and that came, for the columns of a stage's requests; NaN where there is none."""
    none = np.full(rows, np.nan)
    return {"audio_in_s": none, "audio_out_s": none} if sound is None else {
        "audio_in_s": sound.audio_in_s, "audio_out_s": sound.audio_out_s}
