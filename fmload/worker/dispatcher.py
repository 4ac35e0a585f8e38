"""Sends a worker's requests: slots that open over the ramp, arrivals at their instants, each request in a greenlet."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool

from fmload import arrivals
from fmload.base.errors import FmloadError
from fmload.config.abilities import carried_by, made_by
from fmload.config.control import TrialSpec
from fmload.config.schema import EndpointSpec, RunFile
from fmload.endpoints.base import Endpoint, Made
from fmload.endpoints.building import build
from fmload.endpoints.remedies import remedy
from fmload.live.state import Group
from fmload.media.gallery import kinds_in
from fmload.model.prompt import Prompt
from fmload.model.reading import ExpectedTranscript, Reading
from fmload.model.record import SCENARIO, Record, noted
from fmload.model.request_id import new_id, new_trial_id
from fmload.model.session import Session
from fmload.plan.exact import Part
from fmload.prompts import replay
from fmload.prompts.deal import Deal, deals_of
from fmload.prompts.store import of_endpoint
from fmload.protocol.messages import LaneShare
from fmload.wire.exchange import Address, Timeouts
from fmload.wire.flight import Flight
from fmload.wire.http1 import Http1Wire
from fmload.worker import measure
from fmload.worker.arrival_queue import ArrivalQueue, Due
from fmload.worker.cancellation import Cancellation
from fmload.worker.conversations import Conversations
from fmload.worker.load_balancer import LoadBalancer
from fmload.worker.prepared_sessions import PreparedSessions
from fmload.worker.safe_check import SafeCheck
from fmload.worker.senders import Senders, tenants_of
from fmload.worker.slots import Lane, Slots, opening_s
from fmload.worker.timer import Timer
from fmload.worker.trial import asks_less, is_unsure

KILL_LIMIT_S = 5.0
TURN_POLL_S = 0.005
TRIAL_TOKENS = 64  # of its answer, at most
_OF_ITS_FORM = (400, 413, 422)  # what speaks of the request's form, not of address, key or model
TRIALS_AT_ONCE = 16  # of tenants
TRIAL_LIMIT_S = 60.0  # an endpoint that takes longer to answer at first is left to the load
_TOLD = 3  # of the prompts that an endpoint cannot say
SPAWNED_AT_ONCE = 64  # then the answers are read again
DEAD_AFTER = 10  # requests in a row that did not reach the endpoint
_UNREACHED = ("connect", "tls", "timeout_connect")
# How long a user waits after a request that failed at once: failures must not become a flood of their own.
FAILURE_PAUSE_S, LONGER_PAUSE_S = 0.1, {"connect": 1.0, "tls": 1.0, "client": 1.0}
_NO_FAILURE = ("ok", "cancelled", "censored")


def failure_pause_s(ended: Record) -> float:
    """How long the user of a request waits after it; 0 where it did not fail, or not before its first token."""
    outcome = ended.outcome
    if outcome in _NO_FAILURE or (ended.first_token_ns is not None and outcome != "client"):
        return 0.0
    return LONGER_PAUSE_S.get(outcome, FAILURE_PAUSE_S)


_NO_PROMPT = Prompt("", "", "")  # of a request that failed before it had one

Keep = Callable[[Record, Reading], None]
Dead = Callable[[int, str], None]  # stage, what is wrong


@dataclass(frozen=True, slots=True)
class Trial:
    """A first request that was refused. Not `fatal`: the load asks in another form, and may fare better."""

    endpoint: str
    told: str
    fatal: bool


def trial_prompt(asked: TrialSpec, sample: Prompt) -> tuple[Prompt, bool]:
    """A small prompt that asks as `sample`, of the load, does; and whether it is alike in all that a server refuses."""
    most = sample.output_tokens if sample.output_tokens is None else min(sample.output_tokens, TRIAL_TOKENS)
    tokens = asked.output_tokens or most
    prompt = Prompt(id="trial", prompt_set="trial", text=asked.text, output_tokens=tokens,
                    exact_output=sample.exact_output and tokens is not None, parameters=sample.parameters,
                    audio=sample.audio)
    return prompt, tokens == sample.output_tokens and sample.messages is None


def _check(endpoint: Endpoint, prompt: Prompt) -> None:
    """Raises FmloadError for a prompt that this endpoint cannot be asked."""
    if prompt.inputs is not None and measure.expected(endpoint, prompt) is None:
        raise FmloadError(f"prompt set '{prompt.prompt_set}', endpoint '{endpoint.name}': {len(prompt.inputs)} inputs "
                          "in a request, and the endpoint generates text",
                          hint="leave out batch; or use protocol: embeddings or rerank")
    if prompt.audio is not None and not isinstance(measure.expected(endpoint, prompt), ExpectedTranscript):
        raise FmloadError(f"prompt set '{prompt.prompt_set}', endpoint '{endpoint.name}': sound in a request, and the "
                          "endpoint does not transcribe", hint="use protocol: transcription, or a source of texts")
    check: Callable[[Prompt], None] | None = getattr(endpoint, "check", None)
    if check is not None:
        check(prompt)


def _check_media(spec: EndpointSpec, prompt: Prompt) -> None:
    """Raises FmloadError for images, sound or video for which the endpoint's protocol has no place: they would be left
    out, and a request of text measured in their stead."""
    known = carried_by(spec) if prompt.carried is not None else None
    if known is not None and (without := kinds_in(prompt) - known):
        raise FmloadError(f"prompt set '{prompt.prompt_set}', endpoint '{spec.name}': protocol {spec.protocol} has no "
                          f"place for {' and '.join(sorted(without))} in its requests",
                          hint="take another prompt set, or a protocol that has")


_TIMERS_TURN_S = 0.001  # a sleep of 0 s gives greenlets that are ready a turn, and no timer


def _built(spec: EndpointSpec) -> Endpoint:
    """The endpoint of its part of the run file. The loop gets a turn before: a client of boto3 takes its time, and the
    master wants a sign of life between many, which is due by a timer."""
    gevent.sleep(_TIMERS_TURN_S)
    return build(spec)


@dataclass(slots=True)
class Paced:
    """An open lane of the step that is on. Instants are of this worker's clock."""

    lane: Lane
    start_ns: int
    since_ns: int  # what is due earlier belongs to an earlier deal
    speed: float  # of a replay
    schedule: ArrivalQueue = field(default_factory=lambda: ArrivalQueue(()))


class Dispatcher:
    """What one worker sends in one run. `keep` gets every record, `dead` a stage whose endpoint is not reached.

    `offset_ns` (this worker's clock minus the master's) is kept up to date by its owner. Raises FmloadError for an
    endpoint that cannot be built here. `index` is the worker's number: workers begin at different addresses. `begins`:
    the prompt with which each endpoint (by name) begins each set, where it is not the first. `keep_session` gets each
    conversation that has ended. Nothing is sent while not `may_send`; whoever has it change calls `go_on`.
    """

    def __init__(self, run: RunFile, prompts: Mapping[str, list[Prompt]], worker: str, keep: Keep, dead: Dead,
                 index: int = 0, begins: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
                 keep_session: Callable[[Session], None] = lambda _: None,
                 may_send: Callable[[], bool] = lambda: True) -> None:
        limits = run.timeouts
        self.lanes = Slots()
        self.protocols = {spec.name: spec.protocol for spec in run.endpoints}
        self.offset_ns = 0
        self._worker = worker
        self._keep = keep
        self._dead = dead
        self._wire = Http1Wire(Timeouts(limits.connect_s, limits.first_token_s, limits.idle_s, limits.total_s),
                               max_body_bytes=run.max_response_bytes, reader=run.reader)
        self._senders = Senders(run, tenants_of(run, prompts.values()), _built)
        self._endpoints = self._senders.plain
        self._balancers = {
            spec.name: LoadBalancer(self._endpoints[spec.name].addresses(), spec.balance or "round_robin", index)
            for spec in run.endpoints}
        self._specs = {spec.name: spec for spec in run.endpoints}
        self._makes = {spec.name: made_by(spec) for spec in run.endpoints}
        self._scripted = {spec.name for spec in run.prompts if spec.scripted}
        self._prompts = {(endpoint, name): of_endpoint(shard, spec)
                         for endpoint, spec in self._specs.items() for name, shard in prompts.items()}
        self._deals = deals_of(run.endpoints, prompts, begins)
        self._own_deals: dict[int, Deal] = {}  # by stage, of exactly so many requests
        checks = run.load.safe_check
        self._safe_check = SafeCheck(checks, run.seed) if checks is not None else None
        self._trial = run.load.trial or None
        self._conversations = Conversations(keep_session)
        self._sessions = PreparedSessions(self._ask_step, self.lanes.serves, keep_session, self._tell_if_idle)
        self._in_flight: dict[gevent.Greenlet, Lane] = {}
        self._helpers: list[gevent.Greenlet] = []
        self._paced: dict[int, Paced] = {}  # by stage, those of open loops
        self._seed = f"{run.seed}/{index}"
        self._cancel = Cancellation(run.load.cancel, self._seed)
        self._censoring = False
        self._may_send = may_send
        self._going_on = Event()
        self._when_idle: Callable[[], None] | None = None
        self._when_spent: Callable[[], None] | None = None  # all of exactly so many requests have ended

    @property
    def reader(self) -> str:
        """Who receives: native or python."""
        return self._wire.reader

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._in_flight)

    def check_prompts(self) -> None:
        """Have the endpoints judge their prompts, where a protocol cannot say all that a prompt may hold. Raises
        FmloadError with the first few that cannot be said, each once. What users of a locustfile write is judged when
        they send it."""
        problems: dict[str, None] = {}
        for (name, prompt_set), prompts in self._prompts.items():
            if prompt_set in self._scripted:
                continue
            endpoint = self._endpoints[name]
            for prompt in prompts:
                try:
                    _check(endpoint, prompt)
                    _check_media(self._specs[name], prompt)
                except FmloadError as problem:
                    problems[str(problem)] = None
        if problems:
            more = f"\nand {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
            raise FmloadError("\n".join(list(problems)[:_TOLD]) + more)

    def try_endpoints(self, unsure_alone: bool = False) -> list[Trial]:
        """One small request to each address before the load, in the load's own form: what is wrong with address, key or
        model is told now. Nothing where the run file switches it off; those that went well are left out.

        These requests are no records, and their ids are those of trials. A busy or failing server is left to the load.
        `unsure_alone`: only of endpoints of which a worker is to find out what their server takes.
        """
        if self._trial is None:
            return []
        trials = [gevent.spawn(self._try_address, endpoint, address) for endpoint in self._endpoints.values()
                  if is_unsure(endpoint) or not unsure_alone for address in endpoint.addresses()]
        gevent.joinall(trials, timeout=TRIAL_LIMIT_S)
        self._tell_further()
        trials += [] if unsure_alone else self._try_tenants({trial.value.told for trial in trials if trial.value})
        return [trial.value for trial in trials if trial.value]

    def _try_tenants(self, told: Collection[str]) -> list[gevent.Greenlet]:
        """What a tenant's model, headers or tier are refused for; nothing where an endpoint itself has failed."""
        firsts = {} if told else {(one.endpoint.name, one.tenant): one for one in self._senders.further() if one.tenant}
        pool, trials = Pool(TRIALS_AT_ONCE), list[gevent.Greenlet]()
        with gevent.Timeout(TRIAL_LIMIT_S, False):  # those that are not over by then are left to the load
            for one in firsts.values():
                trials.append(pool.spawn(self._try_address, one.endpoint, one.endpoint.addresses()[0], one.tenant))
            pool.join()
        return trials

    def _tell_further(self) -> None:
        """A component of a mix, or a tenant, asks its server for no more than the endpoint itself does."""
        for one in self._senders.further():
            if not is_unsure(self._endpoints[one.endpoint.name]):
                asks_less(one.endpoint)

    def _try_address(self, endpoint: Endpoint, address: Address, tenant: str | None = None) -> Trial | None:
        sample = next(prompts[0] for (name, _), prompts in self._prompts.items() if name == endpoint.name)
        prompt, alike = trial_prompt(self._trial or TrialSpec(), sample)
        record = self._ask(endpoint, address, prompt)
        if record.status in _OF_ITS_FORM and asks_less(endpoint):
            record = self._ask(endpoint, address, prompt)
        if record.outcome not in (*_UNREACHED, "http_4xx"):
            return None
        what = remedy(record.status, record.error or "")
        how = "cannot be reached" if record.status is None else "refuses a first request"
        whose = f", as tenant '{tenant}' has it," if tenant is not None else ""
        told = (f"endpoint '{endpoint.name}'{whose} {how} ({address}): {record.error}"
                f"{f'; {what}' if what else ''}")
        return Trial(endpoint.name, told, fatal=alike or record.status not in _OF_ITS_FORM)

    def _ask(self, endpoint: Endpoint, address: Address, prompt: Prompt) -> Record:
        return measure.measure(endpoint, prompt, self._wire, address, stage=-1, request_id=new_trial_id(),
                               worker=self._worker, scheduled_ns=time.monotonic_ns())[0]

    # -- steps ----------------------------------------------------------------------------------------------------

    def serve(self, shares: list[LaneShare], when_spent: Callable[[], None] = lambda: None) -> None:
        """Serve these lanes from their start on, and no others. Of exactly so many requests: call `when_spent` once
        this worker's part of all lanes has ended."""
        self._when_idle, self._censoring = None, False
        exact = all(share.exact is not None for share in shares)
        self._when_spent = when_spent if exact else None
        self._end_helpers()
        self._own_deals = {share.stage: Deal(part) for share in shares if (part := self._part(share))}
        served = self.lanes.serve([Lane(share.stage, share.endpoint, share.prompt_set, share.slots,
                                        component=mix["component"] if (mix := share.asked.get("mix")) else None,
                                        left=share.exact["count"] if share.exact else None) for share in shares])
        before, self._paced = self._paced, {}
        for lane, share in zip(served, shares, strict=True):
            if share.kind == "concurrency":
                self._helpers.append(gevent.spawn(self._open_slots, lane, share))
            else:
                self._paced[lane.stage] = self._dealt(lane, share, before.get(lane.stage))
        self._pace_all()
        self._tell_if_idle()

    def _part(self, share: LaneShare) -> list[Prompt]:
        """This worker's prompts of a lane of exactly so many requests; none of any other lane."""
        return Part(**share.exact).of(self._prompts[share.endpoint, share.prompt_set]) if share.exact else []

    def adopt(self, prompt_set: str, prompts: list[Prompt]) -> None:
        """Replay these rows of a trace, too, in the step that is on: the worker that had them is gone."""
        self._end_helpers()
        for paced in self._paced.values():
            if paced.lane.prompt_set == prompt_set:
                own = of_endpoint(prompts, self._specs[paced.lane.endpoint])
                paced.schedule = paced.schedule.adopt(paced.since_ns, self._replayed(own, paced))
        self._pace_all()

    def _open_slots(self, lane: Lane, share: LaneShare) -> None:
        """Open the slots over the ramp (`opening_s`). Connections are opened before."""
        begin_ns = max(share.start_ns, share.since_ns) + self.offset_ns
        addresses = self._endpoints[lane.endpoint].addresses()
        for address in addresses:
            self._wire.preconnect(address, -(-lane.slots // len(addresses)))
        due = opening_s(lane.slots, share.ramp_s, share.index, share.workers, f"{self._seed}/{lane.stage}")
        for due_s in due[lane.opened:]:
            gevent.sleep(max(0.0, due_s + (begin_ns - time.monotonic_ns()) / 1e9))
            self.lanes.open(lane)

    def _dealt(self, lane: Lane, share: LaneShare, before: Paced | None) -> Paced:
        """This worker's share of a lane's arrivals. What was dealt before holds until the new share begins."""
        paced = Paced(lane, share.start_ns + self.offset_ns, share.since_ns + self.offset_ns, share.asked["value"])
        if share.kind == "trace":
            due = self._replayed(self._prompts[lane.endpoint, lane.prompt_set] if share.replays else [], paced)
        elif share.exact:
            mine = arrivals.share(arrivals.of_stage(share.asked), share.index, share.workers)
            due = ((paced.start_ns + round(due_s * 1e9), prompt)
                   for due_s, prompt in zip(mine, self._part(share), strict=False) if due_s is not None)
        else:
            mine = arrivals.share(arrivals.of_stage(share.asked), share.index, share.workers)
            due = ((paced.start_ns + round(due_s * 1e9), None) for due_s in mine if due_s is not None)
        paced.schedule = (before.schedule if before else ArrivalQueue(())).hand_over(paced.since_ns, due)
        return paced

    @staticmethod
    def _replayed(prompts: Iterable[Prompt], paced: Paced) -> Iterator[Due]:
        return ((paced.start_ns + round(due_s * 1e9), prompt) for due_s, prompt in replay.due(prompts, paced.speed))

    def _pace_all(self) -> None:
        self._helpers += [gevent.spawn(self._pace, paced.lane, paced.schedule) for paced in self._paced.values()]

    def _pace(self, lane: Lane, schedule: ArrivalQueue) -> None:
        """Send what is due at its absolute instants, whatever the answers do."""
        alarm = Timer()
        try:
            while schedule.next is not None:
                alarm.sleep_until(schedule.next[0])
                self._spawn_due(lane, schedule, time.monotonic_ns())
        finally:
            alarm.close()

    def _spawn_due(self, lane: Lane, schedule: ArrivalQueue, now_ns: int) -> None:
        """All that is due by now, up to a bound: a round of the loop for each would not catch up after a burst."""
        for _ in range(SPAWNED_AT_ONCE):
            self._begin(lane, *schedule.take())
            if lane.left is not None:
                lane.left -= 1
            if schedule.next is None or schedule.next[0] > now_ns:
                return

    def go_on(self) -> None:
        """What waits for `may_send` looks again."""
        self._going_on.set()
        self._going_on = Event()

    def _wait_for_leave(self, lane: Lane) -> None:
        """Until requests may be sent. Raises GreenletExit where the lane is no longer served by then."""
        while not self._may_send():
            self._going_on.wait()
            if not self.lanes.serves(lane):
                raise gevent.GreenletExit

    def stop(self, when_idle: Callable[[], None] | None = None) -> None:
        """Send nothing new; call `when_idle` once nothing is in flight any more."""
        self.lanes.close()
        self.go_on()
        self._conversations.cut()
        self._sessions.close()
        self._paced = {}
        self._end_helpers()
        self._when_idle, self._when_spent = when_idle, None
        self._tell_if_idle()

    def cut(self, outcome: str, limit_s: float = 0.0) -> None:
        """End what is in flight, and keep it as `censored` or `cancelled`; wait for that, `limit_s` at most."""
        self._censoring = outcome == "censored"
        gevent.killall(list(self._in_flight), block=limit_s > 0, timeout=limit_s)
        self._sessions.join(limit_s)

    def drain(self, limit_s: float) -> None:
        """Wait for what is in flight, `limit_s` at most."""
        gevent.joinall(list(self._in_flight), timeout=limit_s)

    def close(self, limit_s: float) -> None:
        """Stop, cancel what is in flight within `limit_s`, and close the connections."""
        self.stop()
        self.cut("cancelled", limit_s)
        self._wire.close()

    def _end_helpers(self) -> None:
        gevent.killall(self._helpers, block=False)
        self._helpers = []

    def _tell_if_idle(self) -> None:
        if self._when_spent is not None and not self._in_flight and all(lane.spent for lane in self.lanes):
            spent, self._when_spent = self._when_spent, None
            spent()
        if self._when_idle is not None and not self._in_flight and not self._sessions:
            tell, self._when_idle = self._when_idle, None
            tell()

    # -- requests -------------------------------------------------------------------------------------------------

    def serve_one(self, idle: Callable[[], AbstractContextManager[None]]) -> None:
        """One request or session of a user: wait for a slot (inside `idle()`), send, wait for the end, give the slot
        back.

        The user became free when it asked, or when its slot opened, whichever is later. A user that is killed takes
        its request with it, and the record is kept.
        """
        with idle():
            lane = self.lanes.take()
            prompt = self._own_prompt(lane)
        request = self._begin(lane, time.monotonic_ns(), prompt)
        try:
            self.finished(request)
        finally:
            self.release(lane)

    def _begin(self, lane: Lane, due_ns: int, prompt: Prompt | None) -> gevent.Greenlet:
        """A request that is due, or a session, in a greenlet of its own."""
        if not self._prompts[lane.endpoint, lane.prompt_set][0].steps:
            return self._spawn(lane, due_ns, prompt)
        prompt = prompt or self._deals[lane.endpoint, lane.prompt_set].take(time.monotonic())
        return self._sessions.begin(lane, prompt, due_ns)

    def _ask_step(self, lane: Lane, prompt: Prompt, due_ns: int,
                  note: dict[str, Any]) -> tuple[Record, Reading] | None:
        """A request of a prepared session, to its end."""
        return self.finished(self._spawn(lane, due_ns, prompt, note))

    def lanes_that_make(self, what: Made) -> list[Lane]:
        """The lanes that are served now whose endpoint answers with such things."""
        return [lane for lane in self.lanes if self._makes[lane.endpoint] == what]

    def start(self, lane: Lane, prompt: Prompt, note: dict[str, Any]) -> gevent.Greenlet:
        """Send a prompt of a scenario now; its record holds the note. Raises FmloadError for one that its endpoint
        cannot be asked."""
        prompt = replace(prompt, prompt_set=lane.prompt_set)
        _check(self._endpoints[lane.endpoint], prompt)
        return self._spawn(lane, time.monotonic_ns(), prompt, note)

    def finished(self, request: gevent.Greenlet) -> tuple[Record, Reading] | None:
        """Wait for the end of a request, and a moment more where it failed at once. None where it was killed before
        anything was sent. A greenlet that is killed here takes the request with it."""
        try:
            request.join()
            ended = request.value if isinstance(request.value, tuple) else None
            if ended and (seconds := failure_pause_s(ended[0])):
                gevent.sleep(seconds)
        except BaseException:
            request.kill(timeout=KILL_LIMIT_S)
            raise
        return ended

    def release(self, lane: Lane) -> None:
        """A user gives its slot back."""
        self.lanes.release(lane)
        self._tell_if_idle()

    def _own_prompt(self, lane: Lane) -> Prompt | None:
        """The next of this worker's part of exactly so many requests; None elsewhere. Waits for the answer that a later
        turn of a conversation goes on from, when nothing else is left."""
        deal = self._own_deals.get(lane.stage)
        if lane.left is None or deal is None:
            return None
        while (prompt := deal.take_once(time.monotonic())) is None:
            gevent.sleep(TURN_POLL_S)
        return prompt

    def under_way(self) -> Iterator[tuple[Group, int, Flight]]:
        """The answers that are on their way: group, `t_send` in ns, and the answer itself."""
        for request, flight in self._wire.under_way():
            lane, send_ns = self._in_flight.get(request), flight.exchange.send_ns
            if lane is not None and send_ns is not None:
                yield (lane.stage, lane.endpoint, lane.prompt_set), send_ns, flight

    def _spawn(self, lane: Lane, scheduled_ns: int, prompt: Prompt | None = None,
               note: dict[str, Any] | None = None) -> gevent.Greenlet:
        request = gevent.Greenlet(self._request, lane, scheduled_ns, prompt, note)
        self._in_flight[request] = lane
        request.link(self._landed)
        request.start()
        return request

    def _landed(self, request: gevent.Greenlet) -> None:
        del self._in_flight[request]
        self._tell_if_idle()

    def _request(self, lane: Lane, scheduled_ns: int, due: Prompt | None,
                 note: dict[str, Any] | None = None) -> tuple[Record, Reading]:
        """One request and its record: whatever is raised on the way, there is one."""
        self._wait_for_leave(lane)
        prompt, record, reading = due, None, Reading()
        held: Callable[[tuple[Record, Reading]], None] | None = None
        try:
            deal = self._own_deals.get(lane.stage) or self._deals[lane.endpoint, lane.prompt_set]
            prompt = due or deal.take(time.monotonic())
            sent = prompt
            if prompt.conversation is not None and note is None:
                sent, note = self._conversations.begin(lane, prompt)
                held = partial(self._conversations.ended, lane, prompt, sent, goes_on=deal.goes_on(prompt))
            record, reading = self._measure(lane, sent, scheduled_ns)
            deal.answered(prompt, time.monotonic())
        except (Exception, gevent.Timeout) as error:
            record = record or self._unsent(lane, prompt or _NO_PROMPT, scheduled_ns)
            measure.note_own_failure(record, error)
        if record.outcome == "cancelled" and self._censoring and record.send_ns is not None:
            record.outcome = "censored"
        if note is not None:
            record.detail = noted(record.detail, SCENARIO, note)
        record.tenant = self._senders.tenant_of(prompt or _NO_PROMPT, lane.component)
        self._keep(record, reading)
        if held is not None:
            held((record, reading))
        lane.unreached = lane.unreached + 1 if record.outcome in _UNREACHED else 0
        if lane.unreached == DEAD_AFTER:
            self._dead(lane.stage, f"{record.endpoint}: {record.error}")
        return record, reading

    def _unsent(self, lane: Lane, prompt: Prompt, scheduled_ns: int) -> Record:
        sender = self._senders.of(lane.endpoint, lane.component, None)
        return measure.unsent(sender.endpoint, prompt, request_id=new_id(), worker=self._worker, stage=lane.stage,
                              scheduled_ns=scheduled_ns, max_output_tokens=sender.output_limit)

    def _measure(self, lane: Lane, prompt: Prompt, scheduled_ns: int) -> tuple[Record, Reading]:
        """Send the prompt; between the safety checks, where the run file asks for them."""
        tenant = self._senders.tenant_of(prompt, lane.component)
        sender = self._senders.of(lane.endpoint, lane.component, tenant)
        identity: dict[str, Any] = {"request_id": new_id(), "worker": self._worker, "stage": lane.stage,
                                    "max_output_tokens": sender.output_limit}
        send = partial(self._send, sender.endpoint, prompt, **identity)
        if self._safe_check is None:
            return send(scheduled_ns=scheduled_ns)
        unsent = partial(measure.unsent, sender.endpoint, prompt, **identity)
        return self._safe_check.around(prompt, scheduled_ns, send, unsent)

    def _send(self, endpoint: Endpoint, prompt: Prompt, **identity: Any) -> tuple[Record, Reading]:
        with self._balancers[endpoint.name].lend() as address, self._cancel.around(endpoint, self._wire) as wire:
            return measure.measure(endpoint, prompt, wire, address, **identity)
