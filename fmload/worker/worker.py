"""The worker: takes plan and prompts from the master, has them sent, keeps and ships the records.

It knows no Locust: what it needs of it is the `Link` (messages to the master) and a callback for finished requests.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import msgpack
from gevent.event import Event as Signal
from gevent.lock import RLock

from fmload.base.clock_offset import boot_id
from fmload.base.errors import FmloadError
from fmload.base.offload import LARGE_BYTES, beside_the_loop
from fmload.config.goodput import limits_of_tenants
from fmload.config.schema import RunFile
from fmload.live.state import Tally
from fmload.media.gallery import Gallery, noticed
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record, pack
from fmload.model.session import Session
from fmload.protocol.delivery import Outbox
from fmload.protocol.lease import LEASE_S, Lease
from fmload.protocol.link import Link
from fmload.protocol.messages import (
    NO_STAGE,
    Ack,
    Adopt,
    Censor,
    Close,
    Event,
    Flush,
    Flushed,
    Idle,
    Message,
    Ping,
    Plan,
    Pong,
    Prompts,
    Ready,
    Records,
    Step,
    kind_of,
    other_version,
)
from fmload.results import sessions
from fmload.results.answers import ANSWERS_FULL, Keeper
from fmload.results.texts import TEXTS_FULL, TextKeeper
from fmload.worker.client_health import ClientHealth
from fmload.worker.dispatcher import KILL_LIMIT_S, Dispatcher, Trial
from fmload.worker.seat import Seat
from fmload.worker.session_log import SessionLog
from fmload.worker.spool import Spool
from fmload.worker.under_way import look

logger = logging.getLogger(__name__)

SHIP_EVERY_S = 0.5
SHIP_UNDER_BUDGET_S = 0.1  # the less the master has not heard of, the nearer to its limit a run may come
GC_THRESHOLD = 50_000  # objects made, less those that went
RESEND_AFTER_S = 5.0
SESSIONS_END_S = 0.1  # for a session whose last answer has just come to end by itself


Finished = Callable[[Record, Reading], None]


class Worker:
    """One process's share of the runs. `messages` are its handlers; users call `serve_one` for ever."""

    def __init__(self, link: Link, identity: str, finished: Finished) -> None:
        self.identity = identity
        self.health = ClientHealth(lambda: self.in_flight)
        self._link = link
        self._finished = finished
        self._dispatcher: Dispatcher | None = None
        self._sender_made = Signal()
        self._outbox = Outbox()
        self._tally = Tally()
        self._reporting = RLock()
        self._journal: Spool | None = None
        self._answers: Keeper | None = None
        self._texts: TextKeeper | None = None
        self._plan: Plan | None = None
        self._sessions_on: set[SessionLog] = set()
        self._made: Counter[int] = Counter()  # records by stage
        self._prompts: dict[str, list[Prompt]] = {}
        self._gallery = Gallery()
        self._offset_ns = 0
        self._lease = Lease()
        self._forsaken = False  # and it was told
        self._progress = time.monotonic()
        self._acked = Signal()
        self.messages: dict[type[Message], Callable[[Any], None]] = {
            Plan: self.on_plan, Prompts: self.on_prompts, Step: self.on_step, Adopt: self.on_adopt,
            Close: self.on_close, Censor: self.on_censor, Ack: self.on_ack, Ping: self.on_ping, Flush: self.on_flush,
        }

    # -- plan and prompts -----------------------------------------------------------------------------------------

    def on_plan(self, plan: Plan) -> None:
        """A run begins: forget the one before, open the journal, wait for the shards."""
        if (problem := other_version("master", plan.protocol, plan.fmload)) is not None:
            self._say_ready(plan, problem)
            return
        if self._dispatcher is not None:
            self._dispatcher.close(KILL_LIMIT_S)
        self._dispatcher = None
        self._sender_made.clear()
        self._plan = plan
        self._prompts = {name: [] for name in plan.prompts}
        self._outbox = Outbox()
        self._made.clear()
        self._tally = Tally(plan.limits, limits_of_tenants(plan.run.get("tenants") or ()))
        self._answers = Keeper(**plan.answers) if plan.answers else None
        self._texts = TextKeeper(**plan.texts) if plan.texts else None
        self._journal = self._open_journal(plan)
        self._lease.renew()
        self._begin_if_complete()

    def _open_journal(self, plan: Plan) -> Spool | None:
        """In the results folder where this is the master's machine; else in a spill folder of the working directory."""
        if self._journal is not None:
            self._journal.close()
        same_machine = plan.boot_id == boot_id() and plan.host == socket.gethostname()
        folder = Path(plan.journal) if same_machine else Path("fmload-spill") / plan.run_id
        try:
            return Spool(folder / f"{self.identity}.log", self._outbox)
        except OSError as error:
            self._journal_failed(error)
            return None

    def on_prompts(self, batch: Prompts) -> None:
        """A batch of this worker's shard of a prompt set."""
        self._prompts[batch.prompt_set] += _unpacked(batch.prompts)
        self._begin_if_complete()

    def _begin_if_complete(self) -> None:
        plan = self._plan
        if plan is not None and all(len(self._prompts[name]) == count for name, count in plan.prompts.items()):
            gevent.spawn(self._prepare, plan)

    def _prepare(self, plan: Plan) -> None:
        """Build what sends, try the endpoints where the plan says so, tell the master how it went."""
        problem, refused = None, dict[str, str]()
        try:
            run = RunFile.model_validate(plan.run)
            self._prompts = {name: self._dressed(prompts) for name, prompts in self._prompts.items()}
            dispatcher = Dispatcher(run, self._prompts, self.identity, self._keep, self._tell_of_dead_endpoint,
                                    plan.index, plan.begins, self.keep_session, lambda: self._lease.holds)
            dispatcher.check_prompts()
            trials = dispatcher.try_endpoints(unsure_alone=not plan.trial)
            refused = self._tell_of_trials(trials) if plan.trial else {}
            dispatcher.offset_ns = self._offset_ns
            self._dispatcher = dispatcher
            _calm_garbage_collection()
            gevent.config.track_greenlet_tree = False  # each would keep ten frames of the one that started it
            self._sender_made.set()
        except FmloadError as error:
            problem = str(error)
        except Exception as error:
            logger.exception("the worker could not prepare the run")
            problem = f"{type(error).__name__}: {error}"
        self._say_ready(plan, problem, refused)

    def _dressed(self, prompts: list[Prompt]) -> list[Prompt]:
        """With their images, sound and video, which are made or read now: not one of them under the load. It is done
        beside the loop, which has a master to answer."""
        return [beside_the_loop(LARGE_BYTES, self._gallery.dressed if prompt.media else noticed, prompt)
                if prompt.media or _has_parts(prompt) else prompt for prompt in prompts]

    def _say_ready(self, plan: Plan, problem: str | None, refused: Mapping[str, str] | None = None) -> None:
        self._send(Ready(plan.run_id, socket.gethostname(), os.getpid(), boot_id(),
                         time.time_ns() - time.monotonic_ns(), problem, dict(refused or {})))

    def _tell_of_trials(self, trials: list[Trial]) -> dict[str, str]:
        """By endpoint, why the load would fare no better; a refusal that it may not meet is told, and the load goes
        on."""
        for trial in trials:
            if not trial.fatal:
                told = f"{trial.told}. The load asks in another form, and goes on"
                self._send(Event("trial_refused", told, NO_STAGE))
        fatal = [trial for trial in trials if trial.fatal]
        return {name: "\n".join(trial.told for trial in fatal if trial.endpoint == name)
                for name in dict.fromkeys(trial.endpoint for trial in fatal)}

    # -- steps ----------------------------------------------------------------------------------------------------

    def on_step(self, step: Step) -> None:
        """A step begins, or its slots are dealt again. Its instants are put on this clock by what is known of it now:
        the last ping may have told of an estimate that the master has dropped since."""
        self._take_offset(step.offset_ns)
        if self._dispatcher is not None:
            self._dispatcher.serve(step.lanes, when_spent=partial(self._tell_idle, step.step))

    def on_adopt(self, rows: Adopt) -> None:
        """A batch of a trace's rows whose worker is gone: they are this one's in the step that is on."""
        if self._dispatcher is not None:
            self._dispatcher.adopt(rows.prompt_set, self._dressed(_unpacked(rows.prompts)))

    def on_close(self, close: Close) -> None:
        """The window is over: nothing new is sent; say when nothing is in flight any more."""
        tell = partial(self._tell_idle, close.step)
        if self._dispatcher is not None:
            self._dispatcher.stop(when_idle=tell)
        else:
            tell()

    def _tell_idle(self, step: int) -> None:
        """Sessions whose last answer has just come may end by themselves; those that think on are over."""
        if self._sessions_on:
            gevent.spawn_later(SESSIONS_END_S, self._end_step, step)
        else:
            self._end_step(step)

    def _end_step(self, step: int) -> None:
        for log in list(self._sessions_on):
            self.keep_session(log.ended("cut"))
        self._sessions_on.clear()
        self.ship()  # the stage's records are there before the master goes on
        self._send(Idle(step, dict(self._made), self.report()))

    def on_censor(self, censor: Censor) -> None:
        """The drain's limit has come: end what is still in flight, and keep it."""
        if self._dispatcher is not None:
            self._dispatcher.cut(censor.outcome)

    def serve_one(self, idle: Callable[[], AbstractContextManager[None]]) -> None:
        """One request of a user, or the wait for a run; `idle()` is entered while the user waits."""
        if self._dispatcher is None:
            with idle():
                self._sender_made.wait()
        else:
            self._dispatcher.serve_one(idle)

    def seat(self, idle: Callable[[], AbstractContextManager[None]], endpoint: str | None = None) -> Seat:
        """A slot for a user with a scenario, as soon as there is one; `idle()` is entered while the user waits.
        `endpoint`: the one whose slots alone will do."""
        with idle():
            while self._dispatcher is None:
                self._sender_made.wait()
            dispatcher = self._dispatcher
            return Seat(dispatcher, dispatcher.lanes.take(endpoint))

    def begin_session(self, log: SessionLog) -> None:
        """A session begins; it is cut when its stage closes before it has ended."""
        self._sessions_on.add(log)

    def keep_session(self, session: Session | None) -> None:
        """Keep how a session ended; nothing for one in which nothing was sent, or that was cut before."""
        if session is not None:
            self._sessions_on = {log for log in self._sessions_on if log.session != session.session}
            frame = sessions.pack(session)
            self._append(frame)
            self._outbox.add(frame)

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._dispatcher.in_flight if self._dispatcher else 0

    def protocol(self, endpoint: str) -> str:
        """The protocol of an endpoint, which names its requests in Locust's statistics."""
        return self._dispatcher.protocols[endpoint] if self._dispatcher else ""

    # -- records --------------------------------------------------------------------------------------------------

    def _keep(self, record: Record, reading: Reading) -> None:
        """The journal comes before everything else."""
        frames = [_packed(record)]
        if self._answers is not None and (kept := self._kept_answer(self._answers, record, reading)):
            frames.append(kept)
        if self._texts is not None and (text := self._kept_text(self._texts, record, reading)):
            frames.append(text)
        for frame in frames:
            self._append(frame)
            self._outbox.add(frame)
        self._made[record.stage] += 1
        self.health.observe(record)
        self._tally.add(record, self._offset_ns)
        self._finished(record, reading)

    def _kept_text(self, keeper: TextKeeper, record: Record, reading: Reading) -> bytes | None:
        """None where the server counted, or there is no room; the master is told once."""
        kept = keeper.keep(record, reading)
        if keeper.full:
            self._texts = None
            self._send(Event(TEXTS_FULL, "this worker's share of count_answers.total is used up: the tokens of later "
                                         "answers that the server does not count are their chunks", NO_STAGE))
        return kept

    def _kept_answer(self, keeper: Keeper, record: Record, reading: Reading) -> bytes | None:
        """None when this worker may keep no more; the master is told once."""
        kept = keeper.keep(record, reading)
        if kept is None:
            self._answers = None
            self._send(Event(ANSWERS_FULL, "this worker's share of keep_answers.total is used up: later requests are "
                                           "measured, their answers not kept", NO_STAGE))
        return kept

    def _append(self, packed: bytes) -> None:
        if self._journal is not None:
            try:
                self._journal.append(packed)
            except OSError as error:
                self._journal = None
                self._journal_failed(error)

    def _journal_failed(self, error: OSError) -> None:
        logger.error("the journal cannot be written (%s); records go to the master alone from here on", error)
        self._send(Event("journal_failed", str(error)))

    def _tell_of_dead_endpoint(self, stage: int, what: str) -> None:
        self._send(Event("endpoint_dead", what, stage))

    # -- shipping, clocks, the end --------------------------------------------------------------------------------

    def ship_for_ever(self) -> None:
        """Send batches, resend what is not acknowledged, tell of a silent master. Runs in its own greenlet."""
        while True:
            gevent.sleep(self._ship_every_s())
            self.ship()
            self._tell_if_forsaken()

    def _ship_every_s(self) -> float:
        limited = self._plan is not None and self._plan.run.get("max_cost") is not None
        return SHIP_UNDER_BUDGET_S if limited else SHIP_EVERY_S

    def _tell_if_forsaken(self) -> None:
        sending = self._dispatcher is not None and any(True for _ in self._dispatcher.lanes)
        if sending and not self._lease.holds and not self._forsaken:
            self._forsaken = True
            logger.error("nothing heard of the master for %.0f s: nothing more is sent until it is heard", LEASE_S)

    def ship(self) -> None:
        """Send what was not sent yet. What does not get through is sent again later."""
        now = time.monotonic()
        if self._outbox.sent == self._outbox.acknowledged:
            self._progress = now
        elif now - self._progress > RESEND_AFTER_S:
            self._outbox.resend()
            self._progress = now
        while (batch := self._outbox.batch()) is not None:
            assert self._plan is not None
            if not self._send(Records(self._plan.run_id, batch.first, batch.records, dict(self._made))):
                self._outbox.resend()
                return

    def _send(self, message: Message) -> bool:
        try:
            self._link.send(message)
        except ConnectionError as error:
            logger.warning("%s did not get through to the master: %s", kind_of(type(message)), error)
            return False
        return True

    def on_ack(self, ack: Ack) -> None:
        """The master has so many records of this worker."""
        if self._plan is not None and ack.run_id == self._plan.run_id:
            self._outbox.acknowledge(ack.count)
            self._progress = time.monotonic()
            self._acked.set()

    def on_ping(self, ping: Ping) -> None:
        """Answer at once; take over what the master knows of this worker's clock."""
        received_ns = time.monotonic_ns()
        self._take_offset(ping.offset_ns)
        self._lease.renew(None if ping.offset_ns is None else ping.sent_ns + ping.offset_ns)
        self._forsaken = self._forsaken and not self._lease.holds
        if self._dispatcher is not None:
            self._dispatcher.go_on()
        self._send(Pong(ping.sent_ns, received_ns, time.monotonic_ns()))

    def _take_offset(self, offset_ns: int | None) -> None:
        if offset_ns is not None:
            self._offset_ns = offset_ns
            if self._dispatcher is not None:
                self._dispatcher.offset_ns = offset_ns

    def on_flush(self, flush: Flush) -> None:
        """The flush at the end: send all, say how many there were."""
        self.ship()
        self._send(Flushed(self._plan.run_id if self._plan else None, self._outbox.added, dict(self._made)))

    def report(self) -> dict[str, Any]:
        """What the live view gets: counts, health and requests in flight since the last report.

        What has ended is taken first, so that no request counts as ended and as under way; one report at a time.
        """
        with self._reporting:
            ended, in_flight = self._tally.drain(), self.in_flight
            under_way = look(self._dispatcher.under_way() if self._dispatcher else (), self._offset_ns)
            return {**ended, "under_way": under_way, "health": self.health.drain(), "in_flight": in_flight,
                    "stamp": self.health.stamp,
                    "reader": self._dispatcher.reader if self._dispatcher else None}

    def leave(self, drain_s: float, limit_s: float = 5.0) -> None:
        """End this worker alone: let requests finish for `drain_s`, cancel the rest, wait until all is acknowledged."""
        if self._dispatcher is None:
            return
        self._dispatcher.stop()
        self._dispatcher.drain(drain_s)
        self._dispatcher.cut("cancelled", KILL_LIMIT_S)
        self.on_flush(Flush())
        with suppress(gevent.Timeout), gevent.Timeout(limit_s):
            while self._outbox.acknowledged < self._outbox.added:
                self._acked.wait()
                self._acked.clear()


def _packed(record: Record) -> bytes:
    """The record as it travels. One that holds what cannot (half a character, a number beyond 64 bits) is kept as what
    is known of it beside that, with the outcome `client`."""
    try:
        return pack(record)
    except (ValueError, TypeError, OverflowError) as error:
        logger.error("the record of request %s cannot be kept whole: %s", record.request_id, error)
        prompt_id = record.prompt_id.encode(errors="replace").decode()
        return pack(Record(
            record.request_id, record.worker, record.stage, record.endpoint, record.prompt_set, prompt_id,
            record.scheduled_ns, send_ns=record.send_ns, end_ns=record.end_ns, outcome="client",
            error=f"its record cannot be kept whole: {type(error).__name__}"))


def _has_parts(prompt: Prompt) -> bool:
    """Whether messages of a prompt hold more than texts."""
    return any(isinstance(message.get("content"), list) for message in prompt.messages or ())


def _unpacked(batch: bytes) -> list[Prompt]:
    return [Prompt(**values) for values in msgpack.unpackb(batch)]


def _calm_garbage_collection() -> None:
    """What is there now stays for the run: the collector need not look at it again, nor as often at what comes.

    Records and chunks hold no cycles and go by their reference counts; at Python's own threshold the collector took a
    tenth of a busy worker's time, in pauses that stop every stream.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 50, 100)
