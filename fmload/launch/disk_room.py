"""How much of the disk a run will take: told before the load, so that nobody learns it from a full disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import islice

from fmload.config import RunFile
from fmload.master import packer
from fmload.model.stage import Stage
from fmload.prompts import store
from fmload.results.folder import Results
from fmload.worker import spool

RECORD_BYTES, CHUNK_BYTES = 260, 13  # of a packed record: without its chunks, and each of them (tests/bench/soak.py)
PARQUET, PACKED = 0.31, 0.34  # of a record's bytes: what the Parquet file takes, and the master's journal once packed
NEWEST_BYTES = 3 * spool.SEGMENT_BYTES  # of each worker's journal, the most that is kept
UNPACKED_BYTES = 2 * packer.SEGMENT_BYTES  # of the master's, likewise
WORTH_TELLING_BYTES = 100 * 10**6
LONG_S = 1800.0
_SAMPLE = 200  # prompts that tell how long the answers of a set are
_UNKNOWN_TOKENS = 256.0


def told(run: RunFile, stages: Sequence[Stage], results: Results) -> Iterator[str]:
    """What is to be known of the disk before the load; nothing where a run is small beside it."""
    free = shutil.disk_usage(results.root).free
    pending = [stage for stage in stages if stage.status == "pending"]
    known = taken(sum(requests_of(stage) * bytes_each(stage, results) for stage in pending), run.load.workers)
    if known > free / 2:
        yield (f"the journals and records will take about {_size(known)}, and {_size(free)} are free: the load stops "
               "when the disk is full")
    elif known > WORTH_TELLING_BYTES:
        yield f"the journals and records will take about {_size(known)} of the {_size(free)} that are free"
    closed = [stage for stage in pending if not requests_of(stage)]
    if sum(stage.window_s or 0.0 for stage in closed) > LONG_S:
        each = max(bytes_each(stage, results) for stage in closed)
        more = _size(1000 * each * (PACKED + PARQUET))
        yield (f"every 1,000 requests of a long run take about {more} of the {_size(free)} that are free, as many as "
               "the users of a closed loop send")


def taken(written: float, workers: int) -> float:
    """Bytes on the disk of a run whose records have so many in all: two journals and the Parquet files. Of a long run
    the workers' journals keep the newest, and all but the newest of the master's is packed away."""
    plain = min(written, UNPACKED_BYTES)
    return min(written, workers * NEWEST_BYTES) + plain + PACKED * (written - plain) + PARQUET * written


def requests_of(stage: Stage) -> float:
    """How many requests the plan says that a stage sends; 0 where its users decide it."""
    if stage.load.kind == "rate":
        return stage.load.value * (stage.ramp_s + stage.warmup_s + (stage.window_s or 0.0))
    return stage.requests or 0


def bytes_each(stage: Stage, results: Results) -> float:
    """What the records of one request have in one journal, by the lengths that the first prompts of its set ask for."""
    path = results.prompts / f"{stage.prompt_set}.jsonl"
    asked = [prompt.output_tokens for prompt in islice(store.read(path), _SAMPLE)] if path.exists() else []
    lengths = [float(tokens) for tokens in asked if tokens is not None]
    tokens = sum(lengths) / len(lengths) if lengths else _UNKNOWN_TOKENS
    return RECORD_BYTES + CHUNK_BYTES * tokens


def _size(count: float) -> str:
    """`3.4 GB`, `120 MB`."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
