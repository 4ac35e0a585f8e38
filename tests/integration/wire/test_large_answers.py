"""Large and hostile answers over real sockets: one record each, and the loop goes on while they are read."""

from __future__ import annotations

import time
from itertools import pairwise

import gevent
import orjson
import pytest

from fmload.endpoints.http import HttpEndpoint
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from tests.integration.wire.served import Step, serving
from tests.spoken import spoken

both_readers = pytest.mark.usefixtures("reader")
WORD = {"choices": [{"index": 0, "delta": {"content": "word "}}], "padding": "x" * 100}
EVENT = b"data: " + orjson.dumps(WORD) + b"\n\n"
END = (b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
       + b"\n\ndata: [DONE]\n\n")


def asked(script: list[Step]) -> Record:
    with serving(script) as server:
        endpoint = spoken("openai", f"http://127.0.0.1:{server.port}/v1")
        return recorded(endpoint)[0]


def recorded(endpoint: HttpEndpoint) -> tuple[Record, Reading]:
    return measure(endpoint, Prompt("p", "s", text="hello"), Http1Wire(), endpoint.addresses()[0], request_id="r",
                   worker="w", stage=0, scheduled_ns=time.monotonic_ns())


@both_readers
@pytest.mark.parametrize("length", ["-5", "9" * 5000, "99999999999999999999", "5, 7", "1²", "nine"])
def test_a_content_length_that_is_none_is_one_failed_request_at_once(length: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + length.encode("latin-1") + b"\r\n\r\n"
    begun = time.monotonic()
    record = asked([head + EVENT, 30.0])
    assert record.outcome == "decode" and not record.chunk_ns and record.end_ns is not None
    assert time.monotonic() - begun < 20  # it did not wait for the server


@both_readers
def test_interim_responses_without_end_are_one_failed_request() -> None:
    record = asked([b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, 30.0])
    assert (record.outcome, record.chunk_ns.tolist()) == ("decode", [])


@both_readers
def test_an_answer_beyond_the_limit_names_the_key() -> None:
    with serving([b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3000, "close"]) as server:
        endpoint = spoken("openai", f"http://127.0.0.1:{server.port}/v1")
        record, _ = measure(endpoint, Prompt("p", "s", text="hello"), Http1Wire(max_body_bytes=2048),
                            endpoint.addresses()[0], request_id="r", worker="w", stage=0, scheduled_ns=0)
    assert record.error == "the response is larger than 2KiB (max_response)"


def test_the_loop_goes_on_while_a_large_answer_is_read() -> None:
    count = (64 << 20) // len(EVENT)
    ticks: list[float] = []

    def tick() -> None:
        while True:
            gevent.sleep(0.005)
            ticks.append(time.monotonic())

    with serving([b"HTTP/1.1 200 OK\r\n\r\n" + EVENT * count + END, "close"]) as server:
        endpoint = spoken("openai", f"http://127.0.0.1:{server.port}/v1")
        ticker = gevent.spawn(tick)
        request = gevent.spawn(recorded, endpoint)
        request.join(timeout=120)
        read_s = time.monotonic() - ticks[0]
        ticker.kill()
    record, reading = request.get()
    assert (record.outcome, len(reading.chunks)) == ("ok", count)
    gaps = [after - before for before, after in pairwise(ticks)]
    assert max(gaps) < read_s / 3, f"the loop stood still for {max(gaps):.2f} s of {read_s:.2f} s"


def test_a_request_that_is_killed_while_its_answer_is_read_keeps_its_record() -> None:
    body = EVENT * ((8 << 20) // len(EVENT)) + END
    with serving([b"HTTP/1.1 200 OK\r\n\r\n" + body, "close"]) as server:
        endpoint = spoken("openai", f"http://127.0.0.1:{server.port}/v1")
        reading_began = gevent.event.AsyncResult()
        read = endpoint.read
        endpoint.read = lambda exchange: (reading_began.set(True), read(exchange))[1]  # type: ignore[method-assign]
        request = gevent.spawn(recorded, endpoint)
        while not reading_began.ready():
            gevent.sleep(0.002)
        request.kill(timeout=30)
    record, _ = request.get()
    assert record.outcome == "ok"
