"""The server: one epoll loop over connections, timers and the engine's steps."""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import signal
import socket
import ssl
import struct
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

from fmload.emulator import http, openai, planes
from fmload.emulator.answer import Answer
from fmload.emulator.dialect import Ask, Plane
from fmload.emulator.engine import SECOND_NS, Job
from fmload.emulator.faults import Fault, parse, pick
from fmload.emulator.http import Refusal, Request, json_refusal
from fmload.emulator.metrics import Metrics
from fmload.emulator.prefix import PrefixCache
from fmload.emulator.settings import Settings
from fmload.emulator.sockets import Channel, PlainChannel, TlsChannel, listener
from fmload.emulator.tls import make_certificate, server_context
from fmload.emulator.truth import Truth, TruthLog
from fmload.emulator.words import Words, bundled
from fmload.errors import FmloadError

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time left: close() sends RST


class Connection:
    """One client: bytes in, one request at a time, bytes out. The `Line` of its answers."""

    def __init__(self, server: Server, sock: socket.socket, channel: Channel) -> None:
        self._server, self.socket, self._channel = server, sock, channel
        self.headers: Mapping[str, str] = server.headers
        self._reader = http.RequestReader()
        self.answer: Answer | None = None
        self.open = True
        self._closing = self._blocked = self._busy = False

    # --- what an answer needs (Line) ---

    def send(self, data: bytes) -> None:
        if not self.open or not data:
            return
        try:
            if not self._channel.send(data):
                self._watch_writes(True)
        except (OSError, ssl.SSLError):
            self.drop()

    def at(self, due_ns: int, call: Callable[[], None]) -> None:
        self._server.at(due_ns, call)

    def finished(self, answer: Answer, keep_alive: bool, reset: bool = False) -> None:
        self._server.finish(answer)
        self.answer = None
        if reset and self.open:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.drop()
        elif not keep_alive:
            self._close_when_sent()
        elif not self._busy:
            self._serve()

    # --- what the loop needs ---

    def on_event(self, events: int) -> None:
        """The loop found the socket ready."""
        try:
            if events & select.EPOLLOUT and self._channel.flush():
                self._watch_writes(False)
                if self._closing:
                    self.drop()
            if events & ~select.EPOLLOUT and self.open:
                self._read()
        except (OSError, ssl.SSLError):
            self.drop()

    def _read(self) -> None:
        received = self._channel.receive()
        if received is None:
            return
        data, at_ns = received
        if not data:
            self.drop()
            return
        self._reader.feed(data, at_ns)
        self._serve()

    def _serve(self) -> None:
        """Answers whole requests, one after the other."""
        self._busy = True
        try:
            while self.open and not self._closing and self.answer is None:
                request = self._reader.next()
                if self._reader.continue_due:
                    self._reader.continue_due = False
                    self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                if request is None:
                    return
                self._server.handle(self, request)
        except http.BadRequest as error:
            self.reply(openai.refusal(400, str(error)))
            self._close_when_sent()
        finally:
            self._busy = False

    def reply(self, refusal: Refusal) -> None:
        """A whole response at once."""
        headers = {"Content-Type": refusal.content_type, **self.headers, **refusal.headers,
                   "Content-Length": str(len(refusal.body))}
        self.send(http.head(refusal.status, headers) + refusal.body)
        if self._server.settings.shape.close_each:
            self._close_when_sent()

    def _watch_writes(self, wanted: bool) -> None:
        if self.open and wanted != self._blocked:
            self._blocked = wanted
            self._server.watch(self, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def _close_when_sent(self) -> None:
        self._closing = True
        if self.open and not self._blocked:
            self.drop()

    def drop(self) -> None:
        """Closes the connection; an answer under way ends as disconnected."""
        if not self.open:
            return
        self.open = False
        self._server.forget(self)
        self.socket.close()
        if self.answer is not None:
            answer, self.answer = self.answer, None
            answer.disconnected()
            self._server.finish(answer)


class Server:
    """Everything of one emulated endpoint. `run` serves until `stop` or a signal."""

    def __init__(self, settings: Settings, words: Words | None = None) -> None:
        self.settings = settings
        self.words = words or bundled()
        self.headers = {"X-Emulator": settings.profile.name}
        self.engine = settings.profile.engine(settings.seed)
        self._prefixes = PrefixCache() if settings.prefix_cache else None
        self.metrics = Metrics(settings.metrics_factor, settings.models[0] if settings.models
                               else settings.profile.served_model)
        self._log = TruthLog(settings.truth)
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # ends the wait when the server is told to stop
        self._epoll.register(self._wake, select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._numbers = count()
        self._stalled_ns = 0  # the engine's clock stands still during a stall
        self._stopping = False
        self._faults = list(settings.faults)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._tls: ssl.SSLContext | None = None
        self.ca_file: Path | None = None
        self._listener: socket.socket | None = None

    # --- life ---

    def listen(self) -> str:
        """Starts listening and returns the URL. Raises FmloadError when the address is taken."""
        settings = self.settings
        if settings.tls:
            self._folder = tempfile.TemporaryDirectory(prefix="fmload-emulator-")
            self.ca_file = make_certificate(Path(self._folder.name), list(settings.tls_hosts))
            self._tls = server_context(self.ca_file)
        try:
            self._listener = listener(settings.host, settings.port)
        except OSError as error:
            raise FmloadError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
                              hint="choose another --port; 0 takes a free one") from error
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        port = self._listener.getsockname()[1]
        self._schedule_disasters()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"{'https' if settings.tls else 'http'}://{host}:{port}"
        if settings.ready_file is not None:
            _write_ready(settings.ready_file, self.url, self.ca_file)
        return self.url

    def run(self) -> None:
        """Serves until told to stop."""
        try:
            while not self._stopping:
                self._turn()
        finally:
            self.close()

    def stop(self) -> None:
        """Ends `run` after the present turn of the loop; may be called from a signal handler."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Closes every connection and the log; what was in flight is logged as disconnected."""
        for connection in list(self._connections.values()):
            connection.drop()
        self._stop_listening()
        self._epoll.close()
        os.close(self._wake)
        self._log.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._epoll.unregister(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _schedule_disasters(self) -> None:
        settings, now_ns = self.settings, time.monotonic_ns()
        for at_s, call in ((settings.stall_at_s, self._stall), (settings.refuse_at_s, self._stop_listening),
                           (settings.die_at_s, lambda: os.kill(os.getpid(), signal.SIGKILL))):
            if at_s is not None:
                self.at(now_ns + round(at_s * SECOND_NS), call)

    def _stall(self) -> None:
        """Nothing moves, and the engine's clock stands still meanwhile."""
        time.sleep(self.settings.stall_for_s)
        self._stalled_ns += round(self.settings.stall_for_s * SECOND_NS)

    # --- the loop ---

    def at(self, due_ns: int, call: Callable[[], None]) -> None:
        """Calls back at `due_ns`; in the order of asking when due at the same instant."""
        heapq.heappush(self._timers, (due_ns, next(self._order), call))

    def watch(self, connection: Connection, events: int) -> None:
        """Changes what the loop waits for on a connection."""
        self._epoll.modify(connection.socket.fileno(), events)

    def forget(self, connection: Connection) -> None:
        """The connection is about to be closed."""
        descriptor = connection.socket.fileno()
        self._epoll.unregister(descriptor)
        del self._connections[descriptor]

    def _turn(self) -> None:
        for descriptor, events in self._wait():
            connection = self._connections.get(descriptor)
            if connection is not None:
                connection.on_event(events)
            elif self._listener is not None and descriptor == self._listener.fileno():
                self._accept()
        self._tick()

    def _wait(self) -> list[tuple[int, int]]:
        """Ready sockets, waiting no longer than the next thing that is due.

        epoll's own time-out counts whole milliseconds; select() on the epoll descriptor counts microseconds.
        """
        due_ns = self._due_ns()
        if due_ns is None:
            return self._epoll.poll()
        left_ns = due_ns - time.monotonic_ns()
        if left_ns > 2_000_000:
            return self._epoll.poll((left_ns - 1_000_000) // 1_000_000 / 1000)
        if left_ns > 0 and not select.select([self._epoll], (), (), left_ns * 1e-9)[0]:
            return []
        return self._epoll.poll(0)

    def _due_ns(self) -> int | None:
        due = self.engine.due_ns
        if due is not None:
            due += self._stalled_ns
        if self._timers and (due is None or self._timers[0][0] < due):
            return self._timers[0][0]
        return due

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        while self._timers and self._timers[0][0] <= now_ns:
            heapq.heappop(self._timers)[2]()
        for job in self.engine.advance(now_ns - self._stalled_ns):
            answer: Answer = job.owner
            if job.failure is None:
                answer.token(now_ns)
            else:
                answer.refuse(planes.unavailable(answer.plane, job.failure))

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(64):
            try:
                sock, _address = self._listener.accept()
            except OSError:  # nothing more to accept, a client that left, or no descriptor free: try again later
                return
            sock.setblocking(False)
            channel: Channel = TlsChannel(sock, self._tls) if self._tls else PlainChannel(sock)
            self._connections[sock.fileno()] = Connection(self, sock, channel)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    # --- requests ---

    def handle(self, connection: Connection, request: Request) -> None:
        """Answers one request, at once or token by token."""
        plane = planes.plane_of(request.path) if request.method == "POST" else None
        if plane is None:
            connection.reply(self._control(request))
            return
        self._generate(connection, request, plane)

    def _generate(self, connection: Connection, request: Request, plane: Plane) -> None:
        number = next(self._numbers)
        truth = Truth(_request_id(request, number), number, request.path, request.received_ns)
        try:
            fault = self._fault(request, number)
            truth.fault = fault.kind if fault else None
            if fault is not None and fault.kind == "status":
                raise planes.refuse(plane, fault)
            opened = planes.open_request(plane, request, number, self.settings)
        except Refusal as refusal:
            truth.status, truth.outcome = refusal.status, refusal.outcome
            truth.headers_ns = time.monotonic_ns()
            connection.reply(refusal)
            truth.end_ns = time.monotonic_ns()
            self._record(truth)
            return
        ask = opened.ask
        tokens = self.words.prompt_tokens(ask)
        cached = self._prefixes.cached_tokens(ask.prompt, tokens) if self._prefixes else 0
        job = Job(tokens, self._length(ask, number), cached)
        shape = self.settings.shape
        if request.headers.get("connection", "").lower() == "close":
            shape = replace(shape, close_each=True)
        answer = Answer(connection, plane, opened, job, truth, shape, fault, self.words.text)
        job.owner = connection.answer = answer
        self._start(answer, fault)

    def _start(self, answer: Answer, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "never":
            return
        now_ns = time.monotonic_ns()
        answer.begin(now_ns)
        if not answer.over and (fault is None or fault.kind != "empty"):
            arrived_ns = min(now_ns, answer.truth.received_ns) if self._steady else now_ns
            if not self.engine.submit(answer.job, arrived_ns - self._stalled_ns):
                answer.refuse(planes.unavailable(answer.plane, "refused"))

    @property
    def _steady(self) -> bool:
        return self.settings.profile.model is None

    def _fault(self, request: Request, number: int) -> Fault | None:
        asked = request.headers.get("x-emulator-fault")
        if asked is None:
            return pick(self._faults, number, self.settings.seed)
        try:
            return parse(asked)
        except FmloadError as error:
            raise openai.refusal(400, str(error)) from error

    def _length(self, ask: Ask, number: int) -> int:
        """How many tokens the answer will have."""
        limit = ask.max_tokens or self.settings.default_tokens
        if self.settings.natural_tokens is None or ask.ignore_eos:
            return limit
        mean, stddev = self.settings.natural_tokens
        natural = round(random.Random(self.settings.seed * 1_000_003 + number).gauss(mean, stddev))
        return min(limit, max(1, ask.min_tokens, natural))

    def finish(self, answer: Answer) -> None:
        """An answer is over, well or not: cancel what is left of it, and keep its truth."""
        job = answer.job
        if not job.finished:
            self.engine.cancel(job)
        truth = answer.truth
        truth.input_tokens, truth.cached_tokens = job.input_tokens, job.cached_tokens
        truth.asked_tokens = answer.ask.max_tokens
        truth.admitted_ns = None if job.admitted_ns is None else job.admitted_ns + self._stalled_ns
        self._record(truth)

    def _record(self, truth: Truth) -> None:
        self._log.append(truth)
        self.metrics.observe(truth)

    # --- everything that is not a model request ---

    def _control(self, request: Request) -> Refusal:
        """The answer of a path beside the data planes."""
        path = request.path.rstrip("/") or "/"
        if path in ("/health", "/ping", "/"):
            return _found({"status": "ok", "emulator": self.settings.profile.name})
        if path == "/v1/models":
            names = self.settings.models or (self.settings.profile.served_model,)
            return _found({"object": "list", "data": [{"id": name, "object": "model", "owned_by": "fmload-emulator"}
                                                      for name in names]})
        if path == "/metrics":
            return Refusal(200, self.metrics.text(self.engine).encode(), {},
                           "text/plain; version=0.0.4; charset=utf-8")
        if path == "/emulator/stats":
            return _found(self.metrics.stats(self.engine))
        if path == "/tokenize" and request.method == "POST":
            return self._tokenize(request)
        return openai.refusal(404, f"no such path: {request.method} {request.path}", "NotFoundError")

    def _tokenize(self, request: Request) -> Refusal:
        try:
            body = openai.parse_json(request.body)
            ask = openai.parse(body, "prompt" not in body)
        except Refusal as refusal:
            return refusal
        return _found({"count": self.words.prompt_tokens(ask), "max_model_len": 131072})


def _request_id(request: Request, number: int) -> str:
    """The client's own id where it sent one; boto3 sends `amz-sdk-invocation-id`."""
    headers = request.headers
    return headers.get("x-request-id") or headers.get("amz-sdk-invocation-id") or f"emulated-{number:08x}"


def _found(body: object) -> Refusal:
    return json_refusal(200, body)


def _write_ready(path: Path, url: str, ca_file: Path | None) -> None:
    """Whole or not at all: a reader that sees the file sees all of it."""
    content = json.dumps({"url": url, "pid": os.getpid(), "ca_file": str(ca_file) if ca_file else None})
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(content)
    temporary.rename(path)
