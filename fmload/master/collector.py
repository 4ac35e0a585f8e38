"""The master's ledger of a run: what workers sent, whose clocks are whose, what befell it; and the files that say so.

It knows no Locust; `messages` are its handlers, called with `(worker, data)`.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmload.base.clock_offset import OffsetFilter, boot_id
from fmload.base.errors import FmloadError, disk_full, refused_by_disk
from fmload.base.files import write_whole
from fmload.live.state import LiveState
from fmload.master.packer import SEGMENT_BYTES, Packer
from fmload.master.spend import Spend
from fmload.model.stage import Stage, StageMark
from fmload.protocol.delivery import Receipt
from fmload.protocol.link import Link
from fmload.protocol.messages import NO_STAGE, Ack, Event, Flushed, Idle, Made, Message, Pong, Ready, Records
from fmload.results import worker_file
from fmload.results.folder import Results
from fmload.results.reserve import Reserve
from fmload.results.segments import Segments
from fmload.results.stage_file import StageFile
from fmload.results.worker_file import WorkerFacts
from fmload.statistics.observation import Observation

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class WorkerEntry:
    """What the master knows of one worker."""

    worker: str
    index: int
    host: str = ""
    pid: int = 0
    wall_anchor_ns: int = 0
    stamp: str | None = None
    reader: str | None = None
    ready: bool = False
    problem: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)  # by endpoint, why it answered no first request
    lost_ns: int | None = None
    clock: OffsetFilter = field(default_factory=OffsetFilter)
    receipt: Receipt = field(default_factory=Receipt)
    idle_step: int = -1
    flushed: int | None = None
    heard_s: float | None = None  # when records came last, on the master's monotonic clock
    made: Made = field(default_factory=dict)

    def facts(self) -> WorkerFacts:
        """The entry of workers.json."""
        offset = self.clock.best()
        return WorkerFacts(self.worker, self.index, self.host, self.pid, offset.offset_ns if offset else None,
                           offset.uncertainty_ns if offset else None, self.wall_anchor_ns, self.stamp, self.lost_ns,
                           self.receipt.count, self.reader)


class Collector:
    """Receives records and counts, keeps the run's files up to date. One object a run.

    When the disk refuses what it writes, `trouble` says so, `on_trouble` is called once, and nothing more is
    acknowledged.
    """

    def __init__(self, results: Results, run_id: str, link: Link) -> None:
        """Raises OSError where the folder cannot be written."""
        self.results = results.create()
        self.run_id = run_id
        self.live = LiveState()
        self.observation = Observation()
        self.spend = Spend({}, [])
        self.max_cost: float | None = None
        self.workers: dict[str, WorkerEntry] = {}
        self.stages: list[Stage] = []
        self.running: list[Stage] = []
        self.wall_anchor_ns = time.time_ns() - time.monotonic_ns()
        self.started_utc = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._link = link
        self.trouble: FmloadError | None = None  # why nothing more can be written
        self.on_trouble: Callable[[FmloadError], None] = lambda trouble: None
        self._reserve = Reserve(results)
        self._closed = False
        self.dropped = 0  # messages that were none
        self._earlier_workers = worker_file.read(results)
        self._packer = Packer()
        self._journal = Segments(results.journal / f"master-{os.getpid()}.log", SEGMENT_BYTES, self._pack)
        self.messages: dict[type[Message], Callable[[str, Any], None]] = {
            Ready: self.on_ready, Records: self.on_records, Pong: self.on_pong, Idle: self.on_idle,
            Flushed: self.on_flushed, Event: self.on_event,
        }

    # -- messages -------------------------------------------------------------------------------------------------

    def admit(self, worker: str) -> WorkerEntry:
        """The entry of a worker that takes part from now on."""
        if worker not in self.workers:
            self.workers[worker] = WorkerEntry(worker, len(self.workers))
        return self.workers[worker]

    def on_ready(self, worker: str, told: Ready) -> None:
        """A worker has its plan and prompts, or says why it cannot go on."""
        if told.run_id != self.run_id:
            return
        entry = self.admit(worker)
        entry.host, entry.pid, entry.wall_anchor_ns = told.host, told.pid, told.wall_anchor_ns
        entry.clock.same_clock = told.boot_id == boot_id() != ""
        entry.problem, entry.refused = told.problem, told.refused
        entry.ready = True
        self.write_workers()

    def on_records(self, worker: str, batch: Records) -> None:
        """Journal what is new, acknowledge the count."""
        if batch.run_id != self.run_id or self._closed:
            return
        entry = self.admit(worker)
        entry.heard_s = time.monotonic()
        entry.made.update(batch.made)
        new = entry.receipt.accept(batch.first, batch.records)
        if not self._journaled(new):
            entry.receipt.count -= len(new)  # not acknowledged: the worker keeps them, and its journal has them
            return
        offset = entry.clock.best()
        self.observation.take(new, offset.offset_ns if offset else 0)
        self.spend.take(new, offset.offset_ns if offset else 0)
        self._link.send(Ack(self.run_id, entry.receipt.count), worker)

    def _journaled(self, packed: list[bytes]) -> bool:
        """Append what a worker sent; what a full disk refuses in part is sent again, and read once."""
        if self.trouble is not None:
            return False
        with self._writing("the master's journal"):
            for record in packed:
                self._journal.append(record)
        return self.trouble is None

    def _pack(self, path: Path, count: int) -> None:
        self._packer.pack(path)

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        """What the disk refuses ends the run; the room that was kept free then goes to the files that say so."""
        try:
            yield
        except OSError as error:
            if self.trouble is None:
                self.trouble = refused_by_disk(error, f"{what} could not be written to {self.results.root}", (
                    "the load was stopped, what was journaled before is kept: make room, then 'fmload report "
                    f"{self.results.root}'"))
                self._reserve.release()
                self.event("disk_full" if disk_full(error) else "cannot_write", None, self.trouble.message)
                self.on_trouble(self.trouble)

    def on_pong(self, worker: str, pong: Pong) -> None:
        """A worker's clock, once more."""
        returned_ns = time.monotonic_ns()
        if worker in self.workers:
            self.workers[worker].clock.add(pong.sent_ns, pong.received_ns, pong.answered_ns, returned_ns)

    def on_idle(self, worker: str, told: Idle) -> None:
        """A worker has nothing in flight any more."""
        entry = self.admit(worker)
        if told.report:
            self.on_report(worker, told.report)
        entry.idle_step = told.step
        entry.made.update(told.made)

    def on_flushed(self, worker: str, told: Flushed) -> None:
        """A worker says how many records it made in all."""
        if told.run_id == self.run_id:
            entry = self.admit(worker)
            entry.flushed = told.count
            entry.made.update(told.made)

    def on_event(self, worker: str, event: Event) -> None:
        """Something befell a worker."""
        self.event(event.kind, worker, event.detail, event.stage)
        if event.kind == "trial_refused":
            self.warn(event.detail)

    def warn(self, told: str) -> None:
        """Say something of the run to whoever watches it."""
        self.live.run.setdefault("warnings", []).append(told)

    def on_report(self, worker: str, data: dict[str, Any]) -> None:
        """A worker's live counts and health, once a second."""
        self.live.merge(worker, data)
        health = data["health"]
        if worker in self.workers:
            self.workers[worker].stamp = data["stamp"] or self.workers[worker].stamp
            self.workers[worker].reader = data.get("reader") or self.workers[worker].reader
        self.live.observe(worker, data["in_flight"], health[-1] if health else None, time.monotonic_ns())
        if health:
            lines = "".join(json.dumps({"worker": worker, **sample}) + "\n" for sample in health)
            self._append(self.results.health_jsonl, lines)

    def drop(self, what: str) -> None:
        """A message that is none: the first is an event, and at the end their number."""
        self.dropped += 1
        if self.dropped == 1:
            self.event("message_dropped", None, what, NO_STAGE)

    # -- what the controller asks ----------------------------------------------------------------------------------

    def silent_s(self) -> float:
        """Seconds since the worker that has been silent for longest sent records; 0 before any did."""
        heard = [entry.heard_s for entry in self.workers.values()
                 if entry.heard_s is not None and entry.lost_ns is None]
        return time.monotonic() - min(heard) if heard else 0.0

    def missing(self, workers: Iterable[str]) -> list[str]:
        """Workers whose records are not all here (or that have not said how many there are)."""
        return [worker for worker in workers
                if (entry := self.workers[worker]).flushed is None or entry.receipt.count < entry.flushed]

    def short_of(self, worker: str) -> str:
        """How many of a worker's records are not here, in words."""
        entry = self.workers[worker]
        count = "an unknown number" if entry.flushed is None else f"{entry.flushed - entry.receipt.count}"
        return f"{count} of its records did not come; its journal has them, if its disk can be reached"

    # -- events and files -----------------------------------------------------------------------------------------

    def event(self, kind: str, worker: str | None = None, detail: str = "", only: int | None = None) -> None:
        """Write down what befell the run, and mark the stages that are on (or `only` the one that it concerns)."""
        now_ns = time.monotonic_ns()
        marked = [stage for stage in self.running if only in (None, stage.stage)]
        logger.warning("%s (worker %s): %s", kind.replace("_", " "), worker or "none", detail)
        for stage in marked:
            stage.marks.append(StageMark(kind, now_ns, worker, detail))
        numbers: list[int | None] = [stage.stage for stage in marked]
        for number in numbers or [None]:
            self._append(self.results.events_jsonl, json.dumps(
                {"at_ns": now_ns, "kind": kind, "worker": worker, "stage": number, "detail": detail}) + "\n")
        self.write_stages()

    def find(self, worker: str) -> None:
        """A worker that was taken for gone is there."""
        self.workers[worker].lost_ns = None
        self.write_workers()

    def lose(self, worker: str) -> None:
        """A worker is gone."""
        self.workers[worker].lost_ns = time.monotonic_ns()
        self.live.forget(worker)
        self.write_workers()

    def write_stages(self) -> None:
        """Rewrite stages.json, whole or not at all."""
        for stage in self.stages:
            if told := [entry.made[stage.stage] for entry in self.workers.values() if stage.stage in entry.made]:
                stage.records = sum(told)
        with self._writing("stages.json"):
            StageFile(self.run_id, self.started_utc, self.wall_anchor_ns, self.stages).write(self.results)

    def write_workers(self) -> None:
        """Rewrite workers.json; the workers of an earlier session of a resumed run stay in it."""
        workers = [*self._earlier_workers, *(entry.facts() for entry in self.workers.values())]
        with self._writing("workers.json"):
            worker_file.write(self.results, workers)

    def write_live(self) -> None:
        """The live state for the process that shows the progress."""
        self.live.run.update(spent_usd=self.spend.usd(), wasted_usd=self.spend.usd_wasted(), max_cost=self.max_cost,
                             tokens_usd=self.spend.usd_for_tokens(), unpriced=sorted(self.spend.unpriced()))
        snapshot = self.live.snapshot(time.monotonic_ns(), self.wall_anchor_ns, history_s=30)
        with self._writing("the live state"):
            write_whole(self.results.logs / "live.json", json.dumps(snapshot), durable=False)

    def close(self) -> None:
        """Write everything for the last time."""
        if self.dropped > 1:
            self.event("message_dropped", None, f"{self.dropped} messages in all were dropped", NO_STAGE)
        self.write_stages()
        self.write_workers()
        self.write_live()
        self._journal.close()
        self._packer.wait()
        self._reserve.release()
        self._closed = True

    def _append(self, path: Path, text: str) -> None:
        with self._writing(path.name), path.open("a", encoding="utf-8") as file:
            file.write(text)
