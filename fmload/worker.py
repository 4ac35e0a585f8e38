"""The worker: takes plan and prompts from the master, serves the users' requests, keeps and ships their records.

It knows no Locust: what it needs of it is the `Link` (messages to the master) and a callback for finished requests.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import gevent
import msgpack
from gevent.event import Event

from fmload import arrivals, measure
from fmload.clocks import boot_id
from fmload.config.schema import RunFile
from fmload.endpoints import ENDPOINTS
from fmload.endpoints.base import Endpoint, Reading
from fmload.errors import FmloadError
from fmload.health import Health
from fmload.journal import Journal
from fmload.lanes import Lane, Lanes
from fmload.live import Tally
from fmload.pacing import Alarm
from fmload.prompt import Prompt
from fmload.prompts.deal import Deal
from fmload.prompts.store import prompts_for
from fmload.record import Record, pack
from fmload.shipping import Outbox
from fmload.wire.exchange import Address, Timeouts
from fmload.wire.http1 import Http1Wire

logger = logging.getLogger(__name__)

SHIP_EVERY_S = 0.5
RESEND_AFTER_S = 5.0
LEASE_S = 10.0  # a worker that has not heard of its master for so long stops sending
KILL_LIMIT_S = 5.0
DEAD_AFTER = 10  # requests in a row that did not reach the endpoint
# How long a user waits after a request that failed at once: failures must not become a flood of their own.
FAILURE_PAUSE_S = {"connect": 1.0, "tls": 1.0, "timeout_connect": 0.1, "http_4xx": 0.1, "http_5xx": 0.1,
                   "throttled": 0.1, "empty": 0.1, "decode": 0.1}
TRIAL_LIMIT_S = 120.0


class Link(Protocol):
    """Messages between master and workers. `send` raises ConnectionError when the other side cannot be reached."""

    def send(self, kind: str, data: Any, worker: str | None = None) -> None: ...


Finished = Callable[[Record, Reading], None]


class Worker:
    """One process's share of the run. `messages` are its handlers; users call `serve_one` for ever."""

    def __init__(self, link: Link, identity: str, finished: Finished) -> None:
        self.link = link
        self.identity = identity
        self.health = Health()
        self.lanes = Lanes()
        self.outbox = Outbox()
        self._finished = finished
        self._tally = Tally()
        self._plan: dict[str, Any] = {}
        self._prompts: dict[str, list[Prompt]] = {}
        self._journal: Journal | None = None
        self._in_flight: dict[gevent.Greenlet, Lane] = {}
        self._helpers: list[gevent.Greenlet] = []
        self._offset_ns = 0
        self._heard = time.monotonic()
        self._progress = time.monotonic()
        self._closed_step: int | None = None
        self._censoring = False
        self._acked = Event()
        self.messages: dict[str, Callable[[Any], None]] = {
            "fmload_plan": self.on_plan, "fmload_prompts": self.on_prompts, "fmload_step": self.on_step,
            "fmload_window": self.on_window, "fmload_close": self.on_close, "fmload_censor": self.on_censor,
            "fmload_ack": self.on_ack, "fmload_ping": self.on_ping, "fmload_flush": self.on_flush,
        }

    # -- plan and prompts -----------------------------------------------------------------------------------------

    def on_plan(self, data: dict[str, Any]) -> None:
        """A run begins: forget the one before, open the journal, wait for the shards."""
        self._stop_sending()
        self.outbox = Outbox()
        self._plan = data
        self._prompts = {name: [] for name in data["prompts"]}
        self._tally = Tally(data["limits_s"])
        self._journal = self._open_journal(data)
        self._heard = time.monotonic()
        self._begin_if_complete()

    def _open_journal(self, data: dict[str, Any]) -> Journal | None:
        """In the results folder where this is the master's machine; else in a spill folder of the working directory."""
        same_machine = data["boot_id"] == boot_id() and data["host"] == socket.gethostname()
        folder = Path(data["journal"]) if same_machine else Path("fmload-spill") / data["run_id"]
        try:
            return Journal(folder / f"{self.identity}.log")
        except OSError as error:
            self._journal_failed(error)
            return None

    def on_prompts(self, data: dict[str, Any]) -> None:
        """A batch of this worker's shard of a prompt set."""
        self._prompts[data["prompt_set"]] += [Prompt(**values) for values in msgpack.unpackb(data["prompts"])]
        self._begin_if_complete()

    def _begin_if_complete(self) -> None:
        if all(len(self._prompts[name]) == count for name, count in self._plan["prompts"].items()):
            gevent.spawn(self._prepare)

    def _prepare(self) -> None:
        try:
            run = RunFile.model_validate(self._plan["run"])
            self._wire = Http1Wire(Timeouts(run.timeouts.connect_s, run.timeouts.first_token_s,
                                            run.timeouts.idle_s, run.timeouts.total_s))
            self._protocols = {spec.name: spec.protocol for spec in run.endpoints}
            self._endpoints: dict[str, Endpoint] = {
                spec.name: ENDPOINTS.load(spec.protocol).from_spec(spec) for spec in run.endpoints}
            self._addresses: dict[str, Iterator[Address]] = {
                name: itertools.cycle(endpoint.addresses()) for name, endpoint in self._endpoints.items()}
            self._deals = {
                (spec.name, name): Deal(prompts_for(prompts, spec.tokenizer) or prompts)
                for spec in run.endpoints for name, prompts in self._prompts.items()}
            problem = self._try_endpoints() if self._plan["trial"] else None
        except FmloadError as error:
            problem = str(error)
        except Exception as error:
            logger.exception("the worker could not prepare the run")
            problem = f"{type(error).__name__}: {error}"
        self.link.send("fmload_ready", {
            "run_id": self._plan["run_id"], "host": socket.gethostname(), "pid": os.getpid(), "boot_id": boot_id(),
            "wall_anchor_ns": time.time_ns() - time.monotonic_ns(), "problem": problem})

    def _try_endpoints(self) -> str | None:
        """One small request to each endpoint before the load: what is wrong with address, key or model is told now.

        These requests are no records; their ids begin with `trial-`. A busy or failing server is left to the load.
        """
        trials = [gevent.spawn(self._try_endpoint, endpoint) for endpoint in self._endpoints.values()]
        gevent.joinall(trials, timeout=TRIAL_LIMIT_S)
        return "\n".join(trial.value for trial in trials if trial.value) or None

    def _try_endpoint(self, endpoint: Endpoint) -> str | None:
        prompt = Prompt(id="trial", prompt_set="trial", text="Hello", output_tokens=2)
        record, _ = measure.measure(endpoint, prompt, self._wire, endpoint.addresses()[0], stage=-1,
                                    request_id=f"trial-{uuid4().hex}", worker=self.identity,
                                    scheduled_ns=time.monotonic_ns())
        fatal = record.outcome in ("connect", "tls", "timeout_connect", "http_4xx")
        return f"endpoint '{endpoint.name}' refuses a first request: {record.error}" if fatal else None

    # -- steps ----------------------------------------------------------------------------------------------------

    def on_step(self, data: dict[str, Any]) -> None:
        """A step begins: open this worker's slots over the ramp, pace its share of the arrivals."""
        self._closed_step = None
        self._end_helpers()
        lanes = self.lanes.serve([Lane(lane["stage"], lane["endpoint"], lane["prompt_set"], lane["slots"])
                                  for lane in data["lanes"]])
        for lane, asked in zip(lanes, data["lanes"], strict=True):
            if asked["rate"]:
                self._helpers.append(gevent.spawn(self._pace, lane, asked))
            else:
                self._helpers.append(gevent.spawn(self._open_slots, lane, asked))

    def _open_slots(self, lane: Lane, asked: Mapping[str, Any]) -> None:
        """Open the slots evenly over the ramp; the workers' slots interleave."""
        begin_ns = max(asked["start_ns"], asked["since_ns"]) + self._offset_ns
        addresses = self._endpoints[lane.endpoint].addresses()
        for address in addresses:
            self._wire.preconnect(address, -(-lane.slots // len(addresses)))
        for slot in range(lane.opened, lane.slots):
            due_s = asked["ramp_s"] * (slot + asked["index"] / asked["workers"]) / lane.slots
            gevent.sleep(max(0.0, due_s + (begin_ns - time.monotonic_ns()) / 1e9))
            self.lanes.open(lane)

    def _pace(self, lane: Lane, asked: Mapping[str, Any]) -> None:
        """Send this worker's share of the arrivals at their absolute instants, whatever the answers do."""
        start_ns, since_ns = asked["start_ns"] + self._offset_ns, asked["since_ns"] + self._offset_ns
        instants = arrivals.share(arrivals.schedule(asked["arrivals"], asked["rate"], asked["seed"]),
                                  asked["index"], asked["workers"])
        alarm = Alarm()
        try:
            for instant in instants:
                due_ns = start_ns + round(instant * 1e9)
                if due_ns >= since_ns:
                    alarm.sleep_until(due_ns)
                    self._spawn(lane, due_ns)
        finally:
            alarm.close()

    def on_window(self, data: dict[str, Any]) -> None:
        """The window opens: count completed requests from here on."""
        for lane in self.lanes:
            lane.completed = 0

    def on_close(self, data: dict[str, Any]) -> None:
        """The window is over: nothing new is sent; say when nothing is in flight any more."""
        self._stop_sending()
        self._closed_step = data["step"]
        self._tell_if_idle()

    def _stop_sending(self) -> None:
        self.lanes.close()
        self._end_helpers()

    def _end_helpers(self) -> None:
        gevent.killall(self._helpers, block=False)
        self._helpers = []

    def _tell_if_idle(self) -> None:
        if self._closed_step is not None and not self._in_flight:
            step, self._closed_step = self._closed_step, None
            self._send("fmload_idle", {"step": step})

    def on_censor(self, data: dict[str, Any]) -> None:
        """The drain's limit has come: end what is still in flight, and keep it as censored."""
        self._censoring = data["outcome"] == "censored"
        gevent.killall(list(self._in_flight), block=False)

    # -- requests -------------------------------------------------------------------------------------------------

    def serve_one(self, idle: Callable[[], Any]) -> None:
        """One request of a user: wait for a slot (inside `idle()`), send, wait for the end, give the slot back.

        The user became free when it asked, or when its slot opened, whichever is later. A user that is killed takes
        its request with it, and the record is kept.
        """
        with idle():
            lane = self.lanes.take()
        request = self._spawn(lane, time.monotonic_ns())
        try:
            request.join()
            gevent.sleep(FAILURE_PAUSE_S.get(request.value, 0.0))
        except BaseException:
            request.kill(timeout=KILL_LIMIT_S)
            raise
        finally:
            self.lanes.release(lane)

    def _spawn(self, lane: Lane, scheduled_ns: int) -> gevent.Greenlet:
        request = gevent.Greenlet(self._request, lane, scheduled_ns)
        self._in_flight[request] = lane
        self.health.in_flight = len(self._in_flight)
        request.link(self._landed)
        request.start()
        return request

    def _landed(self, request: gevent.Greenlet) -> None:
        self._in_flight.pop(request).completed += 1
        self.health.in_flight = len(self._in_flight)
        self._tell_if_idle()

    def _request(self, lane: Lane, scheduled_ns: int) -> str:
        deal = self._deals[lane.endpoint, lane.prompt_set]
        prompt = deal.take(time.monotonic())
        record, reading = measure.measure(
            self._endpoints[lane.endpoint], prompt, self._wire, next(self._addresses[lane.endpoint]),
            request_id=uuid4().hex, worker=self.identity, stage=lane.stage, scheduled_ns=scheduled_ns)
        deal.answered(prompt, time.monotonic())
        if record.outcome == "cancelled" and self._censoring:
            record.outcome = "censored"
        self._keep(record)
        self._finished(record, reading)
        self._notice_dead_endpoint(lane, record)
        return record.outcome

    def _notice_dead_endpoint(self, lane: Lane, record: Record) -> None:
        """Tell the master once a stage when nothing has been reached for many requests in a row."""
        lane.unreached = lane.unreached + 1 if record.outcome in ("connect", "tls", "timeout_connect") else 0
        if lane.unreached == DEAD_AFTER:
            self._send("fmload_event", {"kind": "endpoint_dead", "stage": lane.stage,
                                        "detail": f"{record.endpoint}: {record.error}"})

    def _keep(self, record: Record) -> None:
        packed = pack(record)
        self._append(packed)
        self.outbox.add(packed)
        self.health.observe(record)
        self._tally.add(record, self._offset_ns)

    def _append(self, packed: bytes) -> None:
        if self._journal is not None:
            try:
                self._journal.append(packed)
            except OSError as error:
                self._journal = None
                self._journal_failed(error)

    def _journal_failed(self, error: OSError) -> None:
        logger.error("the journal cannot be written (%s); records go to the master alone from here on", error)
        self._send("fmload_event", {"kind": "journal_failed", "detail": str(error)})

    def protocol(self, endpoint: str) -> str:
        """The protocol of an endpoint, which names its requests in Locust's statistics."""
        return self._protocols[endpoint]

    # -- shipping, clocks, the end --------------------------------------------------------------------------------

    def ship_for_ever(self) -> None:
        """Send batches, resend what is not acknowledged, stop when the master is silent. Runs in its own greenlet."""
        while True:
            gevent.sleep(SHIP_EVERY_S)
            self.ship()
            if self._plan and time.monotonic() - self._heard > LEASE_S and any(True for _ in self.lanes):
                logger.error("nothing heard of the master for %.0f s: sending stops, records stay in the journal",
                             LEASE_S)
                self._stop_sending()

    def ship(self) -> None:
        """Send what was not sent yet. What does not get through is sent again later."""
        now = time.monotonic()
        if self.outbox.sent == self.outbox.acknowledged:
            self._progress = now
        elif now - self._progress > RESEND_AFTER_S:
            self.outbox.resend()
            self._progress = now
        completed = {lane.stage: lane.completed for lane in self.lanes}
        while (batch := self.outbox.batch()) is not None:
            if not self._send("fmload_records", {**batch, "run_id": self._plan["run_id"], "completed": completed}):
                self.outbox.resend()
                return

    def _send(self, kind: str, data: dict[str, Any]) -> bool:
        try:
            self.link.send(kind, data)
        except ConnectionError as error:
            logger.warning("%s did not get through to the master: %s", kind, error)
            return False
        return True

    def on_ack(self, data: dict[str, Any]) -> None:
        """The master has so many records of this worker."""
        if data["run_id"] == self._plan.get("run_id"):
            self.outbox.acknowledge(data["count"])
            self._progress = time.monotonic()
            self._acked.set()

    def on_ping(self, data: dict[str, Any]) -> None:
        """Answer at once; take over what the master knows of this worker's clock."""
        received_ns = time.monotonic_ns()
        self._heard = time.monotonic()
        if data["offset_ns"] is not None:
            self._offset_ns = data["offset_ns"]
        self._send("fmload_pong", {"sent_ns": data["sent_ns"], "received_ns": received_ns,
                                   "answered_ns": time.monotonic_ns()})

    def on_flush(self, data: dict[str, Any]) -> None:
        """The barrier at the end: send all, say how many there were."""
        self.ship()
        self._send("fmload_flushed", {"run_id": self._plan.get("run_id"), "count": self.outbox.added})

    def report(self) -> dict[str, Any]:
        """What the live view gets: counts, health and requests in flight since the last report."""
        return {**self._tally.drain(), "health": self.health.drain(), "in_flight": len(self._in_flight),
                "stamp": self.health.stamp}

    def leave(self, drain_s: float, limit_s: float = 5.0) -> None:
        """End this worker alone: let requests finish for `drain_s`, cancel the rest, wait until all is acknowledged."""
        self._stop_sending()
        gevent.joinall(list(self._in_flight), timeout=drain_s)
        gevent.killall(list(self._in_flight), timeout=KILL_LIMIT_S)
        self.on_flush({})
        with suppress(gevent.Timeout), gevent.Timeout(limit_s):
            while self.outbox.acknowledged < self.outbox.added:
                self._acked.wait()
                self._acked.clear()
