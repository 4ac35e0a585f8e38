"""Arrow records as numpy columns: instants on the master's line, null as NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from fmload.metrics.definitions import Bools, Columns, Floats, Ints, Sound
from fmload.model.record import MEDIA, SAFE_CHECK, scenario_of
from fmload_analysis.records.words import Words

NDArrayStr = np.ndarray[Any, np.dtype[np.object_]]
_INSTANTS = ("scheduled_ns", "send_ns", "first_token_ns", "first_answer_ns", "last_token_ns", "end_ns")
_NUMBERS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "prompt_tokens", "max_output_tokens",
            "lag_max_ns")
_SOUND = ("audio_in_s", "audio_out_s", "characters", "stalls", "stalled_ns")
_BILLED = ("status", "cache_write_tokens", "cache_write_1h_tokens")
_TEXTS = ("outcome", "stamp", "tokens_source", "finish_reason", "address")
READ = ["worker", "streamed", "chunk_ns", "chunk_tokens", "chunk_censored", "chunk_tokens_known", "choices",
        "headers_ns", "remark", "inputs", "prompt_id", "tenant", "first_output_ns", "images", *MEDIA, *_SOUND,
        *_INSTANTS, *_NUMBERS, *_BILLED, *_TEXTS]


CHUNKS = ["worker", "scheduled_ns", "send_ns", "outcome", "output_tokens", "chunk_ns", "chunk_tokens", "chunk_censored",
          "chunk_tokens_known", "choices"]  # all that gaps between chunks need


@dataclass(frozen=True, slots=True)
class Batch:
    """Some requests of one stage. Instants are nanoseconds after the window's start, on the master's line."""

    columns: Columns
    outcome: Words
    stamp: Words
    tokens_source: Words
    finish_reason: Words
    prompt_id: NDArrayStr
    address: Words
    prompt_tokens: Floats  # by the client's tokenizer; `columns.input_tokens` where the server does not tell
    server_input_tokens: Floats
    max_output_tokens: Floats
    lag_max_ns: Floats
    billed: Mapping[str, Floats]  # status, cache_write_tokens, cache_write_1h_tokens
    headers_ns: Floats  # when the response's headers were complete
    remark: Words  # what was strange about a count
    checks: Checks | None = None  # None: the run has no safety checks
    notes: list[dict[str, Any] | None] | None = None  # of scenarios and conversations, one a request
    tenant: Words | None = None  # on whose behalf; None: records of an earlier schema


def to_batch(batch: pa.RecordBatch, origin_ns: int, clock_offsets_ns: Mapping[str, int]) -> Batch:
    """Records as columns. `origin_ns` is on the master's line; an instant on it is the worker's − its offset.

    Raises KeyError and pa.ArrowException for what are no records."""
    if batch.column("outcome").null_count:
        raise pa.ArrowInvalid("requests without an outcome")
    shift = origin_ns + shifts(batch, clock_offsets_ns)
    told, counted, limit, lag = (_floats(batch.column(name)) for name in (
        "input_tokens", "prompt_tokens", "max_output_tokens", "lag_max_ns"))
    details = batch.column("detail").to_pylist() if "detail" in batch.schema.names else None
    checks = checks_of(details) if details is not None else None
    media = {name: _optional(batch, name) for name in MEDIA}
    given: dict[str, Any] = {
        **{name: _instants(batch.column(name), shift) for name in _INSTANTS},
        **{name: _floats(batch.column(name)) for name in ("output_tokens", "cached_tokens", "reasoning_tokens")},
        **_chunks(batch, shift)}
    columns = Columns(
        **given, input_tokens=np.where(np.isnan(told) & np.isnan(media["media_bytes"]), counted, told),
        streamed=_bools(batch.column("streamed")), inputs=_optional(batch, "inputs"),
        checks_s=checks.total_s if checks else None, sound=_sound(batch, shift), images=_optional(batch, "images"),
        media=media, first_output_ns=_instants(batch.column("first_output_ns"), shift)
        if "first_output_ns" in batch.schema.names else None)
    outcome, stamp, source, finish, address = (Words.of_arrow(batch.column(name)) for name in _TEXTS)
    if columns.choices is None:  # schema 1: a safety check of ours blocked what was never sent
        unsent = (outcome == "blocked") & np.isnan(columns.send_ns)
        outcome = Words.of(np.where(unsent, "cancelled", np.asarray(outcome)).tolist())
    prompt = _strings(batch.column("prompt_id"))
    remark = (Words.of_arrow(batch.column("remark")) if "remark" in batch.schema.names
              else Words([None], np.zeros(columns.rows, np.int8)))
    billed = {name: _optional(batch, name) for name in _BILLED}
    return Batch(columns, outcome, stamp, source, finish, prompt, address, counted, told, limit, lag, billed,
                 _instants(batch.column("headers_ns"), shift), remark, checks,
                 [scenario_of(detail) for detail in details] if details is not None else None,
                 Words.of_arrow(batch.column("tenant")) if "tenant" in batch.schema.names else None)


def to_chunks(batch: pa.RecordBatch, origin_ns: int, clock_offsets_ns: Mapping[str, int]) -> tuple[Columns, Words]:
    """Of records that `to_batch` took, the chunks and the outcome alone, from the columns CHUNKS; what else a request
    has is not known here (NaN)."""
    shift, unknown = origin_ns + shifts(batch, clock_offsets_ns), np.full(batch.num_rows, np.nan)
    given: dict[str, Any] = {**dict.fromkeys((*_INSTANTS, "input_tokens", "cached_tokens"), unknown),
                             **{name: _instants(batch.column(name), shift) for name in ("scheduled_ns", "send_ns")}}
    return Columns(**given, output_tokens=_floats(batch.column("output_tokens")), **_chunks(batch, shift),
                   streamed=np.ones(batch.num_rows, dtype=bool)), Words.of_arrow(batch.column("outcome"))


def _chunks(batch: pa.RecordBatch, shift: Ints) -> dict[str, Any]:
    """The chunks of each request: stamps, tokens, whether these are known, and of how many answers they are."""
    offsets, chunk_ns = _ragged(batch.column("chunk_ns"))
    counts = np.diff(offsets)
    tokens, known = _chunk_tokens(batch, counts)
    of_tokens, _ = _ragged(batch.column("chunk_tokens"))
    of_censored, censored = _ragged(batch.column("chunk_censored"))
    if not (np.array_equal(offsets, of_tokens) and np.array_equal(offsets, of_censored)):
        raise pa.ArrowInvalid("lists of chunks that differ in length")
    own = shift[0] if _same(shift) else np.repeat(shift, counts)
    return {"chunk_offsets": offsets, "chunk_ns": chunk_ns.astype(np.int64, copy=False) - own, "chunk_tokens": tokens,
            "chunk_tokens_known": known, "chunk_censored": censored != 0,
            "choices": _floats(batch.column("choices")).astype(np.int64) if "choices" in batch.schema.names else None}


def _same(values: Ints) -> bool:
    return len(values) > 0 and bool((values == values[0]).all())


def _chunk_tokens(batch: pa.RecordBatch, counts: Ints) -> tuple[Ints, Bools]:
    """Tokens of the chunks, and of which requests they are known. Schema 1 did not say: as many tokens as chunks are
    one each, and chunks that add up to the answer are known (`fmload.model.record` has the rule for single records)."""
    tokens = _ragged(batch.column("chunk_tokens"))[1]
    if "chunk_tokens_known" in batch.schema.names:
        return tokens, _bools(batch.column("chunk_tokens_known"))
    output = _floats(batch.column("output_tokens"))
    rows = np.repeat(np.arange(len(counts)), counts)
    tokens = np.where((counts == output)[rows], 1, tokens)
    return tokens, (counts > 0) & (np.bincount(rows, tokens, len(counts)) == output)


def shifts(batch: pa.RecordBatch, clock_offsets_ns: Mapping[str, int]) -> Ints:
    """Of each record, how far the clock of its worker is ahead of the master's."""
    names = batch.column("worker").dictionary_encode() if not pa.types.is_dictionary(
        batch.column("worker").type) else batch.column("worker")
    known = [clock_offsets_ns.get(name, 0) for name in names.dictionary.to_pylist()]
    offsets: Ints = np.array(known, dtype=np.int64)[names.indices.to_numpy(zero_copy_only=False)]
    return offsets


def _instants(column: pa.Array, shift: Ints) -> Floats:
    """Integers are shifted before they become floats, so that no nanosecond is lost."""
    present = column.is_valid().to_numpy(zero_copy_only=False)
    moved = pc.fill_null(column, 0).to_numpy(zero_copy_only=False) - shift
    return np.where(present, moved, np.nan)


def _floats(column: pa.Array) -> Floats:
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _optional(batch: pa.RecordBatch, name: str) -> Floats:
    """A column that earlier records lack."""
    return _floats(batch.column(name)) if name in batch.schema.names else np.full(batch.num_rows, np.nan)


def _sound(batch: pa.RecordBatch, shift: Ints) -> Sound | None:
    """None where no request sends or makes sound, as in records of earlier schemas."""
    found = {name: _optional(batch, name) for name in _SOUND}
    if not any(np.isfinite(values).any() for values in found.values()):
        return None
    return Sound(**found, first_output_ns=_instants(batch.column("first_output_ns"), shift))


def _bools(column: pa.Array) -> Bools:
    return pc.fill_null(column, True).to_numpy(zero_copy_only=False).astype(bool)  # type: ignore[no-any-return]


def _strings(column: pa.Array) -> NDArrayStr:
    """The texts as objects; equal ones of a dictionary column are one object."""
    if pa.types.is_dictionary(column.type):
        return np.asarray(Words.of_arrow(column))
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _ragged(column: pa.ListArray) -> tuple[Ints, Ints]:
    offsets = column.offsets.to_numpy().astype(np.int64)
    values = column.flatten().to_numpy(zero_copy_only=False)
    return offsets - offsets[0], values if values.dtype.kind == "i" else values.astype(np.int64)


STEPS = ("before", "after")


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of some requests, one row a request: seconds (NaN: none) and verdict (None: none) by step."""

    seconds: Mapping[str, Floats]
    verdicts: Mapping[str, Words]

    @property
    def total_s(self) -> Floats:
        """Time of both steps; NaN for a request that had neither."""
        taken = np.array([self.seconds[step] for step in STEPS])
        return np.where(np.isnan(taken).all(axis=0), np.nan, np.nansum(taken, axis=0))


def checks_of(details: Sequence[str | None]) -> Checks:
    """From the records' `detail`."""
    notes = [orjson.loads(detail).get(SAFE_CHECK) or {} if detail else {} for detail in details]
    return Checks(
        {step: np.array([note.get(step, {}).get("s", np.nan) for note in notes], dtype=np.float64) for step in STEPS},
        {step: Words.of(note.get(step, {}).get("verdict") for note in notes) for step in STEPS})
