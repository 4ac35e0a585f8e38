"""Record: the facts of one request, nothing derived, and the versioned columns in which they are kept.

All instants are integer nanoseconds of the monotonic clock of the worker that made the request
(`workers.json` holds what puts them on the master's line). An instant that never came is None.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal

import msgpack
import orjson
import pyarrow as pa

from fmload.model.outcome import Outcome

SCHEMA_VERSION = 6
# 1  first version
# 2  chunk_tokens_known, choices, remark, cache_write_tokens, cache_write_1h_tokens; outcome `client`; tokens_source
#    `approximate`
# 3  inputs
# 4  audio_in_s, audio_out_s, characters, first_output_ns, stalls, stalled_ns
# 5  images, images_in, pixels_in, media_s, media_bytes, image_tokens, audio_tokens, video_tokens
# 6  tenant

# Keys of `detail` under which a worker notes what is its own: content-safety checks, and a scenario's place of the
# request (user, name, session, turn, step).
SAFE_CHECK = "safe_check"
SCENARIO = "scenario"

# What a record says of the images, the sound and the video in its prompt.
MEDIA = ("images_in", "pixels_in", "media_s", "media_bytes", "image_tokens", "audio_tokens", "video_tokens")

Stamp = Literal["kernel", "user"]
TokensSource = Literal["server", "tokenizer", "approximate", "chunks"]


@dataclass(slots=True)
class Record:
    """One request. `chunk_*` hold one entry a token-bearing chunk, in order of arrival."""

    request_id: str
    worker: str
    stage: int
    endpoint: str
    prompt_set: str
    prompt_id: str
    scheduled_ns: int  # when it was due: the schedule's instant, or the instant at which the user became free
    address: str = ""
    streamed: bool = True
    send_ns: int | None = None  # just before the first byte of the request
    connected_ns: int | None = None  # None on a reused connection
    headers_ns: int | None = None
    first_token_ns: int | None = None  # in any channel: answer, reasoning, tool call
    first_answer_ns: int | None = None
    last_token_ns: int | None = None
    end_ns: int | None = None
    chunk_ns: array[int] = field(default_factory=lambda: array("q"))
    chunk_tokens: array[int] = field(default_factory=lambda: array("i"))
    chunk_censored: array[int] = field(default_factory=lambda: array("b"))  # 1: came in a late read with others
    stamp: Stamp = "user"
    reads: int = 0
    lag_max_ns: int = 0  # user-space stamp minus kernel stamp, the largest and the sum over the reads
    lag_sum_ns: int = 0
    prompt_tokens: int | None = None  # of the prompt, by the client's tokenizer, before it was sent
    max_output_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    tokens_source: TokensSource | None = None
    finish_reason: str | None = None
    outcome: Outcome = "ok"
    status: int | None = None
    error: str | None = None
    detail: str | None = None  # JSON: what the server said of itself (timings, latencyMs), step times, turn
    chunk_tokens_known: bool = False  # whether `chunk_tokens` is what each chunk really held; ITL is null where not
    choices: int = 1  # answers to this one prompt (`n`); counts are of all of them
    remark: str | None = None  # what was strange about a count; whether it was sent a second time
    cache_write_tokens: int | None = None  # of the input, written to the server's prefix cache; for 1 h ones, too
    cache_write_1h_tokens: int | None = None  # of those, what is kept for an hour
    inputs: int | None = None  # texts to embed, or documents to rank, of one request; None: it generates text
    audio_in_s: float | None = None  # seconds of sound that were sent, to be transcribed
    audio_out_s: float | None = None  # seconds of sound in an answer that speaks; None where its form does not tell
    characters: int | None = None  # of the text that is to be spoken; of what was sent as sound: of its transcript
    first_output_ns: int | None = None  # first sound of an answer that speaks; of a stream, the first image or text
    stalls: int | None = None  # times at which playback of the answer would have run dry, and for how long in all
    stalled_ns: int | None = None
    images: int | None = None  # that the request is to make; None: it makes none
    images_in: int | None = None  # images in the prompt; None: the prompt is text alone
    pixels_in: int | None = None  # of all of them, where their sizes are known
    media_s: float | None = None  # of sound and video in the prompt
    media_bytes: int | None = None  # of all images, sound and video in the prompt, as files
    image_tokens: int | None = None  # of the input, by the server
    audio_tokens: int | None = None
    video_tokens: int | None = None
    tenant: str | None = None  # on whose behalf it was sent, by the name in the run file


COLUMNS = tuple(column.name for column in fields(Record))
# The first column of each schema, which are added at the end.
_ADDED = ("chunk_tokens_known", "inputs", "audio_in_s", "images", "tenant")
_WIDTHS = (*map(COLUMNS.index, _ADDED), len(COLUMNS))
_LISTS = {"chunk_ns": "q", "chunk_tokens": "i", "chunk_censored": "b"}
_LIST_PLACES = tuple(map(COLUMNS.index, _LISTS))
_all_columns = attrgetter(*COLUMNS)
_dictionary = pa.dictionary(pa.int32(), pa.string())
_TYPES: dict[str, pa.DataType] = {
    "request_id": pa.string(), "prompt_id": pa.string(), "error": pa.string(), "detail": pa.string(),
    "chunk_ns": pa.list_(pa.int64()), "chunk_tokens": pa.list_(pa.int32()), "chunk_censored": pa.list_(pa.int8()),
    "streamed": pa.bool_(), "chunk_tokens_known": pa.bool_(), "choices": pa.int32(), "remark": pa.string(),
    "stage": pa.int32(), "status": pa.int32(), "reads": pa.int32(),
    **dict.fromkeys(("prompt_tokens", "max_output_tokens", "input_tokens", "output_tokens", "cached_tokens",
                     "reasoning_tokens", "cache_write_tokens", "cache_write_1h_tokens", "inputs", "characters",
                     "stalls", "images", "images_in", "image_tokens", "audio_tokens", "video_tokens"), pa.int32()),
    **dict.fromkeys(("audio_in_s", "audio_out_s", "media_s"), pa.float64()),
    **dict.fromkeys(("pixels_in", "media_bytes"), pa.int64()),
    **dict.fromkeys(("scheduled_ns", "send_ns", "connected_ns", "headers_ns", "first_token_ns", "first_answer_ns",
                     "last_token_ns", "end_ns", "lag_max_ns", "lag_sum_ns", "first_output_ns", "stalled_ns"),
                    pa.int64()),
    **dict.fromkeys(("worker", "endpoint", "prompt_set", "address", "stamp", "tokens_source", "finish_reason",
                     "outcome", "tenant"), _dictionary),
}
SCHEMA = pa.schema([(name, _TYPES[name]) for name in COLUMNS], metadata={"fmload.schema": str(SCHEMA_VERSION)})


def noted(detail: str | None, key: str, note: Any) -> str:
    """The `detail` of a record with a note of the worker's own before the server's account."""
    return orjson.dumps({key: note, **(orjson.loads(detail) if detail else {})}).decode()


def scenario_of(detail: str | None) -> dict[str, Any] | None:
    """A scenario's note in a record's `detail`; None where there is none."""
    if detail is None or f'"{SCENARIO}"' not in detail:
        return None
    note = orjson.loads(detail).get(SCENARIO)
    return note if isinstance(note, dict) else None


def pack(record: Record) -> bytes:
    """The record as one msgpack array in the order of COLUMNS; lists travel as native little-endian bytes."""
    row = list(_all_columns(record))
    for place in _LIST_PLACES:
        row[place] = row[place].tobytes()
    return msgpack.packb(row)  # type: ignore[no-any-return]


def unpack(data: bytes) -> Record:
    """The inverse of `pack`; columns that an earlier schema lacked have their defaults, or what follows from the
    others. Raises ValueError on bytes that `pack` did not write."""
    try:
        row = msgpack.unpackb(data)
        if not isinstance(row, list) or len(row) not in _WIDTHS:
            raise ValueError(f"not a record of schema {SCHEMA_VERSION}")
        values: dict[str, Any] = dict(zip(COLUMNS, row, strict=False))
        for name, code in _LISTS.items():
            values[name] = array(code, values[name])
    except (TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a record of schema {SCHEMA_VERSION}") from error
    record = Record(**values)
    if len(row) == _WIDTHS[0]:
        _complete(record)
    return record


def _complete(record: Record) -> None:
    """What schema 1 did not say: as many tokens as chunks are one each; chunks that add up to the answer are known."""
    count, output = len(record.chunk_tokens), record.output_tokens
    if output is not None and count == output:
        record.chunk_tokens = array("i", [1] * count)
    record.chunk_tokens_known = bool(count) and output is not None and output == sum(record.chunk_tokens)
    if record.outcome == "blocked" and record.send_ns is None:  # by a safety check of ours, before it was sent
        record.outcome = "cancelled"


def to_table(records: list[Record]) -> pa.Table:
    """An Arrow table of SCHEMA, one row a record, in the order given."""
    return pa.table([_column(records, name) for name in COLUMNS], schema=SCHEMA)


def _column(records: list[Record], name: str) -> pa.Array:
    values = [getattr(record, name) for record in records]
    if name in _LISTS:
        return _list_column(values, SCHEMA.field(name).type)
    return pa.array(values, type=SCHEMA.field(name).type)


def _list_column(values: list[array[int]], kind: pa.ListType) -> pa.Array:
    offsets = [0]
    flat = array(values[0].typecode) if values else array("q")
    for value in values:
        flat.extend(value)
        offsets.append(len(flat))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, kind.value_type))


def from_table(table: pa.Table) -> list[Record]:
    """The records of an Arrow table written by `to_table`, for tests and small runs."""
    rows = table.to_pylist()
    for row in rows:
        for name, code in _LISTS.items():
            row[name] = array(code, row[name] or [])
    return [Record(**row) for row in rows]
