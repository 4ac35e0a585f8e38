"""Files of records read a batch at a time, the next one while the last one is worked on.

A batch is as many requests as have some BATCH_CHUNKS chunks, so that memory is bounded whatever the lengths of the
answers, and the columns of requests are worked on thousands of rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fmload.base.errors import FmloadError, first_line

BATCH_CHUNKS = 1_000_000
MOST_ROWS, FEWEST_ROWS = 4_096, 16
_ANEW = "move the folder records/ away: it is made anew from journal/; else take the file from a copy"
Made = TypeVar("Made")


def no_records(path: Path, error: Exception) -> FmloadError:
    """The message for Parquet files without the columns of records, or with others in their place."""
    return FmloadError(f"{path} does not hold records: {first_line(error)}", hint=_ANEW)


def opened(path: Path) -> pq.ParquetFile:
    """Raises FmloadError when it cannot be read."""
    try:
        return pq.ParquetFile(path, pre_buffer=False)  # else what was read of it is kept until it is closed
    except (OSError, pa.ArrowInvalid) as error:
        raise FmloadError(f"{path} cannot be read: {error}", hint=_ANEW) from error


def made(paths: Iterable[Path], columns: Sequence[str], make: Callable[[pa.RecordBatch], Made]) -> Iterator[Made]:
    """What is made of each batch of some columns of the files, in their order.

    Raises FmloadError for files that cannot be read, or do not hold records."""
    for path in paths:
        with opened(path) as file:
            try:
                yield from _made(file, columns, make)
            except (KeyError, OSError, pa.ArrowException) as error:
                raise no_records(path, error) from error


def _made(file: pq.ParquetFile, columns: Sequence[str], make: Callable[[pa.RecordBatch], Made]) -> Iterator[Made]:
    told, rows = told_of(file.metadata), rows_of(file)
    read = file.iter_batches(rows, columns=[name for name in columns if name not in told], use_threads=False)
    items = (make(with_told(batch, told)) for batch in read)
    return ahead(items) if file.metadata.num_rows > rows else items


def rows_of(file: pq.ParquetFile) -> int:
    """How many requests of a file are a batch, by how many chunks they have on average."""
    metadata = file.metadata
    place = _leaves(metadata).get("chunk_ns")
    if place is None or not metadata.num_rows:
        return MOST_ROWS
    chunks = sum(metadata.row_group(k).column(place).num_values for k in range(metadata.num_row_groups))
    return int(min(max(BATCH_CHUNKS * metadata.num_rows // max(chunks, 1), FEWEST_ROWS), MOST_ROWS))


def _leaves(metadata: pq.FileMetaData) -> dict[str, int]:
    """The lists of chunks by their names: the places of their columns."""
    paths = ((metadata.schema.column(k).path.split("."), k) for k in range(metadata.num_columns))
    return {path[0]: k for path, k in paths if path[0] in ("chunk_ns", *_OFTEN) and len(path) == 3}


_OFTEN: dict[str, tuple[int, pa.DataType]] = {"chunk_tokens": (1, pa.int32()), "chunk_censored": (0, pa.int8())}


def told_of(metadata: pq.FileMetaData) -> dict[str, tuple[int, pa.DataType]]:
    """The lists of chunks that need not be read, for the file says of them that they hold one value, and as many as
    there are stamps: most often each chunk has one token, and none is censored."""
    places = _leaves(metadata)
    if "chunk_ns" not in places:
        return {}
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    return {name: often for name, often in _OFTEN.items() if name in places and all(
        _is_all(group.column(places[name]), group.column(places["chunk_ns"]), often[0]) for group in groups)}


def _is_all(chunk: pq.ColumnChunkMetaData, stamps: pq.ColumnChunkMetaData, value: int) -> bool:
    one, other = chunk.statistics, stamps.statistics
    return bool(one is not None and other is not None and one.has_min_max and one.min == one.max == value
                and one.has_null_count and other.has_null_count and one.null_count == other.null_count
                and chunk.num_values == stamps.num_values)


def is_null(metadata: pq.FileMetaData, name: str) -> bool:
    """Whether the file says that all values of a column, which is no list, are null."""
    names = metadata.schema.names
    if name not in names:
        return False
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    told = [(group.num_rows, group.column(names.index(name)).statistics) for group in groups]
    return all(one is not None and one.null_count == rows for rows, one in told)


def with_told(batch: pa.RecordBatch, told: dict[str, tuple[int, pa.DataType]]) -> pa.RecordBatch:
    """The batch with the lists that were not read."""
    for name, (value, kind) in told.items():
        offsets = batch.column("chunk_ns").offsets
        length = offsets[-1].as_py()
        flat = _filled(value, kind, 1 << length.bit_length()).slice(0, length)
        batch = batch.append_column(name, pa.ListArray.from_arrays(offsets, flat))
    return batch


@lru_cache(maxsize=4)
def _filled(value: int, kind: pa.DataType, length: int) -> pa.Array:
    return pa.array(np.full(length, value, kind.to_pandas_dtype()))


def ahead(items: Iterator[Made]) -> Iterator[Made]:
    """The same, each one made in a thread of its own while the one before it is worked on."""
    with ThreadPoolExecutor(1, "fmload-reads-ahead") as thread:
        coming = thread.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, items, _END)
            yield item  # type: ignore[misc]


_END = object()
