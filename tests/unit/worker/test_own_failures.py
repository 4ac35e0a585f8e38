"""What the load generator itself does wrong in a request: one record with outcome `client`, told once."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from fmload.model.outcome import Failure
from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk, Reading
from fmload.model.record import Record, pack, unpack
from fmload.wire.exchange import Address, Exchange, ReadMark
from fmload.worker import measure


class Endpoint:
    """An endpoint whose sending and reading do what the test says."""

    name, streamed = "e", True

    def __init__(self, sends: Any = None, reads: Any = None) -> None:
        self._sends, self._reads, self.asked_less = sends, reads, 0
        self.unsure = True

    def send(self, prompt: Prompt, request_id: str, wire: Any, address: Address) -> Exchange:
        if isinstance(self._sends, list):
            return self._sends.pop(0)
        if isinstance(self._sends, BaseException):
            raise self._sends
        return Exchange("a", send_ns=1, headers_ns=2, end_ns=9, status=200, body=b"x" * 10,
                        marks=[ReadMark(10, 5, 0, True)], complete=True)

    def read(self, exchange: Exchange) -> Reading:
        if isinstance(self._reads, BaseException):
            raise self._reads
        return self._reads or Reading([Chunk(10)] if exchange.body else [])

    def ask_less(self) -> bool:
        self.asked_less += 1
        return True


class Wire:
    def partial(self) -> None:
        return None


def measured(endpoint: Endpoint) -> tuple[Record, Reading]:
    return measure.measure(endpoint, Prompt("p", "s", text="x"), Wire(), Address("h", 1),  # type: ignore[arg-type]
                           request_id="r", worker="w", stage=0, scheduled_ns=0)


@pytest.mark.parametrize("error", [ValueError("odd"), UnicodeEncodeError("ascii", "\u20ac", 0, 1, "no"),
                                   RecursionError("deep"), MemoryError(), OverflowError("big\nsecond line")])
def test_an_exception_of_ours_while_sending_is_a_record_of_the_client(error: Exception) -> None:
    record, reading = measured(Endpoint(sends=error))
    assert record.outcome == "client" and record.error and type(error).__name__ in record.error
    assert "second line" not in record.error and record.end_ns is not None and reading.chunks == []
    assert unpack(pack(record)) == record


def test_an_exception_of_ours_while_reading_keeps_the_instants() -> None:
    record, _ = measured(Endpoint(reads=TypeError("odd shape")))
    assert (record.outcome, record.send_ns, record.headers_ns, record.end_ns) == ("client", 1, 2, 9)


def test_a_reading_that_no_record_can_hold_is_a_record_of_the_client() -> None:
    record, _ = measured(Endpoint(reads=Reading([Chunk(10, tokens=2**40)])))
    assert record.outcome == "client" and unpack(pack(record)) == record


def test_one_kind_of_failure_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    measure._logged.clear()
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            measured(Endpoint(sends=KeyError("again, with sk-0123456789abcdef")))
    assert len(caplog.records) == 1 and "Traceback" in caplog.text and "sk-0123" not in caplog.text


def test_half_characters_in_a_servers_words_can_be_written() -> None:
    record, _ = measured(Endpoint(reads=Reading(failure=Failure("stream_error", "bad \ud83d"), finish_reason="\ud83d")))
    assert unpack(pack(record)) == record and record.error == "bad ?"
