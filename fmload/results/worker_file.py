"""workers.json: the workers of a run, their hosts and clocks. The only place that reads or writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fmload.base.errors import FmloadError
from fmload.base.files import write_whole
from fmload.results.folder import Results

SCHEMA_VERSION = 2
# 1  a bare list of workers
# 2  a mapping of schema and workers

_SPOILT = "it was cut off or edited: take it from a copy, or move it away: the clocks of all workers then count as one"


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker. An instant on the master's line is the worker's instant − `clock_offset_ns` (None: never measured).

    `records`: what the master has received of it and journaled, answers that are kept included. `reader`: who received
    its bytes, native or python; None of results before 0.3.
    """

    worker: str
    index: int = 0
    host: str = ""
    pid: int | None = None
    clock_offset_ns: int | None = None
    clock_uncertainty_ns: int | None = None
    wall_anchor_ns: int = 0
    stamp: str | None = None
    lost_ns: int | None = None
    records: int = 0
    reader: str | None = None

    @property
    def offset_ns(self) -> int:
        """The worker's clock minus the master's, as well as it is known: 0 where it is not."""
        return self.clock_offset_ns or 0


_WORKERS: TypeAdapter[list[WorkerFacts]] = TypeAdapter(list[WorkerFacts])


def read(results: Results) -> list[WorkerFacts]:
    """The workers of a folder; none where there is no file. Raises FmloadError for one that is damaged, or newer."""
    path = results.workers_json
    if not path.exists():
        return []
    try:
        told = json.loads(path.read_bytes())
    except OSError as error:
        raise FmloadError(f"{path} cannot be read: {error.strerror}", hint="mind its permissions") from error
    except (ValueError, RecursionError) as error:
        raise FmloadError(f"{path} is not JSON: {error}", hint=_SPOILT) from error
    if isinstance(told, dict) and isinstance(told.get("schema"), int) and told["schema"] > SCHEMA_VERSION:
        raise FmloadError(f"{path} has schema {told['schema']}; this fmload reads up to {SCHEMA_VERSION}",
                          hint="use the fmload that wrote the folder (environment.json), or a newer one")
    return _workers(results, told["workers"] if isinstance(told, dict) and "workers" in told else told)


def _workers(results: Results, entries: Any) -> list[WorkerFacts]:
    try:
        workers = _WORKERS.validate_python(entries)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise FmloadError(f"{results.workers_json} holds no list of workers: {where}: {first['msg']}",
                          hint=_SPOILT) from error
    for worker in workers:
        if abs(worker.offset_ns) >= 2**62:
            raise FmloadError(f"{results.workers_json}: {worker.worker}: clock_offset_ns is no figure of a clock",
                              hint=_SPOILT)
    return workers


def write(results: Results, workers: Sequence[WorkerFacts]) -> None:
    """Rewrite it, whole or not at all. Raises OSError."""
    write_whole(results.workers_json, json.dumps(
        {"schema": SCHEMA_VERSION, "workers": [asdict(worker) for worker in workers]}, indent=1))
