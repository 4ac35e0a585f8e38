"""What is served: model requests through the engine, and the paths beside them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from fmload.base.errors import FmloadError
from fmload.emulator import openai, planes, responses, sagemaker_async, tokenizing
from fmload.emulator.answer import EmulatedAnswer, Line
from fmload.emulator.connection import Connection
from fmload.emulator.dialect import Ask
from fmload.emulator.engine import Job
from fmload.emulator.faults import Fault, parse, pick
from fmload.emulator.forms import form_of
from fmload.emulator.http import Refusal, Request, Unfit, json_refusal
from fmload.emulator.metrics import Metrics
from fmload.emulator.objects import Objects, is_for_objects
from fmload.emulator.plane import Plane
from fmload.emulator.prefix import PrefixCache
from fmload.emulator.settings import Settings
from fmload.emulator.truth import Truth, TruthLog
from fmload.emulator.words import Words


class Service:
    """The `Handler` of all connections. Its engine's clock is the monotonic one, less the time of a stall."""

    def __init__(self, settings: Settings, words: Words) -> None:
        profile = settings.profile
        self.headers: Mapping[str, str] = {"X-Emulator": profile.name}
        self.close_each = settings.shape.close_each
        self._stall_from_ns = self._stalled_ns = 0
        self._settings, self._words = settings, words
        self._engine = profile.engine(settings.seed)
        self._models = settings.models or (profile.served_model,)
        self._metrics = Metrics(settings.metrics_factor, self._models[0])
        self._prefixes = PrefixCache() if settings.prefix_cache else None
        self._objects = Objects()
        self._log = TruthLog(settings.truth)
        self._faults = list(settings.faults)
        self._numbers = count()

    # --- the loop's side ---

    def due_ns(self) -> int | None:
        """When the engine has something next, on the monotonic clock."""
        due_ns = self._engine.due_ns
        return None if due_ns is None else due_ns + self._stalled_ns

    def step(self, now_ns: int) -> None:
        """Hands the engine's tokens to their answers."""
        for job in self._engine.advance(now_ns - self._stalled_ns):
            answer: EmulatedAnswer = job.owner
            if job.failure is None:
                answer.token(now_ns)
            else:
                answer.refuse(planes.unavailable(answer.plane, job.failure))

    def stall(self, seconds: float) -> None:
        """Nothing moves for so long, and the engine's clock stands still meanwhile."""
        self._stall_from_ns = time.monotonic_ns()
        time.sleep(seconds)
        self._stalled_ns = time.monotonic_ns() - self._stall_from_ns

    def close(self) -> None:
        """Closes the truth log."""
        self._log.close()

    # --- model requests ---

    def handle(self, connection: Connection, request: Request) -> None:
        """Answers one request, at once or token by token."""
        plane = planes.plane_of(request.path) if request.method == "POST" else None
        if is_for_objects(request):
            connection.reply(self._objects.reply(request))
        elif plane is None:
            connection.reply(self._control(request))
        else:
            self._generate(connection, request, plane)

    def _generate(self, connection: Connection, request: Request, plane: Plane) -> None:
        number = next(self._numbers)
        truth = Truth(_request_id(request, number), number, request.path, request.received_ns)
        later = plane is sagemaker_async.PLANE
        try:
            fault = self._fault(request, number)
            truth.fault = fault.kind if fault else None
            if fault is not None and fault.kind == "status":
                raise planes.refuse(plane, fault)
            if (form := form_of(request, self._settings)) is not None:
                truth.dialect, truth.right = form[0], form[1].outcome
            asked = sagemaker_async.with_input(request, self._objects) if later else request
            opened = planes.open_request(plane, asked, number, self._settings)
        except Refusal as refusal:
            self._turn_away(connection, truth, refusal)
            return
        except Unfit as error:
            self._turn_away(connection, truth, plane.refuse(400, str(error)))
            return
        if self._settings.truth_texts:
            truth.asked, truth.roles = opened.ask.texts, opened.ask.roles
        truth.inputs, truth.audio_s, truth.characters = opened.ask.inputs, opened.ask.audio_s, opened.ask.characters
        truth.model, truth.priority, truth.held_texts = opened.ask.model, opened.ask.priority, opened.ask.held_texts
        truth.images, seen = opened.ask.images, opened.ask.media
        truth.images_in, truth.media_tokens = seen.images, seen.tokens
        shape = self._settings.shape
        if request.headers.get("connection", "").lower() == "close":
            shape = replace(shape, close_each=True)
        job = self._job(opened.ask, number)
        line = self._deposit(connection, request, number) if later else connection
        answer = job.owner = EmulatedAnswer(line, plane, opened, job, truth, shape, fault, self._words.text)
        if not later:
            connection.answer = answer
        self._start(answer, fault)

    def _deposit(self, connection: Connection, request: Request, number: int) -> Line:
        """Where the answer to a request goes that was accepted, and is answered later."""
        deposit = sagemaker_async.Deposit(connection, self._objects, f"{number:08x}", self.finish)
        connection.reply(deposit.accepted(request.headers.get("x-amzn-sagemaker-inference-id")))
        return deposit

    def _turn_away(self, connection: Connection, truth: Truth, refusal: Refusal) -> None:
        truth.status, truth.outcome = refusal.status, refusal.outcome
        truth.headers_ns = time.monotonic_ns()
        connection.reply(refusal)
        truth.end_ns = time.monotonic_ns()
        self._record(truth)

    def _start(self, answer: EmulatedAnswer, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "never":
            return
        now_ns = time.monotonic_ns()
        answer.begin(now_ns)
        if answer.over or (fault is not None and fault.kind == "empty"):
            return
        # Fixed times count from the kernel's stamp of the request; an engine takes it when it sees it.
        arrived_ns = now_ns if self._settings.profile.model else min(now_ns, answer.truth.received_ns)
        if not self._engine.submit(answer.job, arrived_ns - self._stalled_ns):
            answer.refuse(planes.unavailable(answer.plane, "refused"))

    def _job(self, ask: Ask, number: int) -> Job:
        tokens = self._words.prompt_tokens(ask) if ask.input_tokens is None else ask.input_tokens
        cached = self._prefixes.cached_tokens(ask.prompt, tokens - ask.media.tokens) if self._prefixes else 0
        return Job(tokens, self._length(ask, number), cached, priority=ask.priority)

    def _length(self, ask: Ask, number: int) -> int:
        """How many tokens the answer will have."""
        limit = ask.max_tokens or self._settings.default_tokens
        if self._settings.natural_tokens is None or ask.ignore_eos:
            return limit
        mean, stddev = self._settings.natural_tokens
        natural = round(random.Random(self._settings.seed * 1_000_003 + number).gauss(mean, stddev))
        return min(limit, max(1, ask.min_tokens, natural))

    def _fault(self, request: Request, number: int) -> Fault | None:
        """What goes wrong: what the request's own header asks for, else what the settings draw."""
        asked = request.headers.get("x-emulator-fault")
        if asked is None:
            return pick(self._faults, number, self._settings.seed)
        try:
            return parse(asked)
        except FmloadError as error:
            raise Unfit(str(error)) from error

    def finish(self, answer: EmulatedAnswer) -> None:
        """An answer is over, well or not: cancels what is left of it, and keeps its truth."""
        job, truth = answer.job, answer.truth
        if not job.finished:
            self._engine.cancel(job)
        truth.input_tokens, truth.cached_tokens = job.input_tokens, job.cached_tokens
        if self._settings.truth_texts:
            truth.said = answer.said()
        truth.asked_tokens = answer.ask.max_tokens
        if job.admitted_ns is not None:
            truth.admitted_ns = job.admitted_ns + (self._stalled_ns if job.admitted_ns >= self._stall_from_ns else 0)
        self._record(truth)

    def _record(self, truth: Truth) -> None:
        self._log.append(truth)
        self._metrics.observe(truth)

    # --- everything else ---

    def _control(self, request: Request) -> Refusal:
        """The answer of a path beside the data planes."""
        path = request.path.rstrip("/") or "/"
        if path in ("/health", "/ping", "/"):
            return _found({"status": "ok", "emulator": self._settings.profile.name})
        if path == "/v1/models":
            return _found({"object": "list", "data": [{"id": name, "object": "model", "owned_by": "fmload-emulator"}
                                                      for name in self._models]})
        if path == "/metrics":
            return Refusal(200, self._metrics.text(self._engine).encode(), {},
                           "text/plain; version=0.0.4; charset=utf-8")
        if path == "/emulator/stats":
            return _found(self._metrics.stats(self._engine))
        if (held := responses.stored(request.method, path)) is not None:
            return held
        if request.method == "POST" and path in tokenizing.ROUTES:
            return tokenizing.reply(path, request.body, self._words)
        return openai.refusal(404, f"no such path: {request.method} {request.path}")


def _request_id(request: Request, number: int) -> str:
    """The client's own id where it sent one; boto3 sends `amz-sdk-invocation-id`."""
    headers = request.headers
    return headers.get("x-request-id") or headers.get("amz-sdk-invocation-id") or f"emulated-{number:08x}"


def _found(body: object) -> Refusal:
    return json_refusal(200, body)
