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

NDArrayStr = np.ndarray[Any, np.dtype[np.object_]]
_INSTANTS = ("scheduled_ns", "send_ns", "first_token_ns", "first_answer_ns", "last_token_ns", "end_ns")
_NUMBERS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "prompt_tokens", "max_output_tokens",
            "lag_max_ns")
_SOUND = ("audio_in_s", "audio_out_s", "characters", "stalls", "stalled_ns")
_BILLED = ("status", "cache_write_tokens", "cache_write_1h_tokens")
_TEXTS = ("outcome", "stamp", "tokens_source", "finish_reason", "prompt_id", "address")
READ = ["worker", "streamed", "chunk_ns", "chunk_tokens", "chunk_censored", "chunk_tokens_known", "choices",
        "headers_ns", "remark", "inputs", "tenant", "first_output_ns", "images", *MEDIA, *_SOUND,
        *_INSTANTS, *_NUMBERS, *_BILLED, *_TEXTS]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some requests of one stage. Instants are nanoseconds after the window's start, on the master's line."""

    columns: Columns
    outcome: NDArrayStr
    stamp: NDArrayStr
    tokens_source: NDArrayStr
    finish_reason: NDArrayStr
    prompt_id: NDArrayStr
    address: NDArrayStr
    prompt_tokens: Floats  # by the client's tokenizer; `columns.input_tokens` where the server does not tell
    server_input_tokens: Floats
    max_output_tokens: Floats
    lag_max_ns: Floats
    billed: Mapping[str, Floats]  # status, cache_write_tokens, cache_write_1h_tokens
    headers_ns: Floats  # when the response's headers were complete
    remark: NDArrayStr  # what was strange about a count
    checks: Checks | None = None  # None: the run has no safety checks
    notes: list[dict[str, Any] | None] | None = None  # of scenarios and conversations, one a request
    tenant: NDArrayStr | None = None  # on whose behalf; None: records of an earlier schema


def to_batch(batch: pa.RecordBatch, origin_ns: int, clock_offsets_ns: Mapping[str, int]) -> Batch:
    """Records as columns. `origin_ns` is on the master's line; an instant on it is the worker's − its offset.

    Raises KeyError and pa.ArrowException for what are no records."""
    if batch.column("outcome").null_count:
        raise pa.ArrowInvalid("requests without an outcome")
    shift = origin_ns + _shifts(batch, clock_offsets_ns)
    offsets, chunk_ns = _ragged(batch.column("chunk_ns"))
    counts = np.diff(offsets)
    told, counted, limit, lag = (_floats(batch.column(name)) for name in (
        "input_tokens", "prompt_tokens", "max_output_tokens", "lag_max_ns"))
    details = batch.column("detail").to_pylist() if "detail" in batch.schema.names else None
    checks = checks_of(details) if details is not None else None
    chunk_tokens, known = _chunk_tokens(batch, counts)
    media = {name: _optional(batch, name) for name in MEDIA}
    choices = _floats(batch.column("choices")).astype(np.int64) if "choices" in batch.schema.names else None
    columns = Columns(
        **{name: _instants(batch.column(name), shift) for name in _INSTANTS},
        **{name: _floats(batch.column(name)) for name in ("output_tokens", "cached_tokens", "reasoning_tokens")},
        input_tokens=np.where(np.isnan(told) & np.isnan(media["media_bytes"]), counted, told),
        streamed=_bools(batch.column("streamed")), chunk_offsets=offsets,
        chunk_ns=chunk_ns - np.repeat(shift, counts),
        chunk_tokens=chunk_tokens, chunk_tokens_known=known, choices=choices,
        chunk_censored=_ragged(batch.column("chunk_censored"))[1].astype(bool),
        inputs=_optional(batch, "inputs"), checks_s=checks.total_s if checks else None,
        sound=_sound(batch, shift), images=_optional(batch, "images"), media=media,
        first_output_ns=_instants(batch.column("first_output_ns"), shift)
        if "first_output_ns" in batch.schema.names else None)
    outcome, stamp, source, finish, prompt, address = (_texts(batch.column(name)) for name in _TEXTS)
    if choices is None:  # schema 1: a safety check of ours blocked what was never sent
        outcome = np.where((outcome == "blocked") & np.isnan(columns.send_ns), "cancelled", outcome)
    remark = _texts(batch.column("remark")) if "remark" in batch.schema.names else np.full(len(counts), None, object)
    billed = {name: _optional(batch, name) for name in _BILLED}
    return Batch(columns, outcome, stamp, source, finish, prompt, address, counted, told, limit, lag, billed,
                 _instants(batch.column("headers_ns"), shift), remark, checks,
                 [scenario_of(detail) for detail in details] if details is not None else None,
                 _texts(batch.column("tenant")) if "tenant" in batch.schema.names else None)


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


def _shifts(batch: pa.RecordBatch, clock_offsets_ns: Mapping[str, int]) -> Ints:
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


def _texts(column: pa.Array) -> NDArrayStr:
    """The texts as objects; equal ones of a dictionary column are one object."""
    if not pa.types.is_dictionary(column.type):
        return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    known = np.array([*column.dictionary.to_pylist(), None], dtype=object)
    return known[pc.fill_null(column.indices, len(known) - 1).to_numpy(zero_copy_only=False)]  # type: ignore[no-any-return]


def _ragged(column: pa.ListArray) -> tuple[Ints, Ints]:
    offsets = column.offsets.to_numpy().astype(np.int64)
    values = column.flatten().to_numpy(zero_copy_only=False)
    return offsets - offsets[0], values.astype(np.int64, copy=False)

STEPS = ("before", "after")


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of some requests, one row a request: seconds (NaN: none) and verdict (None: none) by step."""

    seconds: Mapping[str, Floats]
    verdicts: Mapping[str, np.ndarray[Any, Any]]

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
        {step: np.array([note.get(step, {}).get("verdict") for note in notes], dtype=object) for step in STEPS})
