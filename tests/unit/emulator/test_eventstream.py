"""The encoder against botocore's decoder and fmload's own."""

from __future__ import annotations

from typing import Any

from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.emulator import eventstream
from fmload.wire.eventstream import frames

NAMES = st.text(min_size=1, max_size=60).filter(lambda text: len(text.encode()) < 256)
HEADERS = st.dictionaries(NAMES, st.text(max_size=200), max_size=6)


@settings(max_examples=40)
@given(st.lists(st.tuples(HEADERS, st.binary(max_size=500)), max_size=5), st.integers(1, 64))
def test_botocore_reads_what_is_written_however_it_is_split(messages: list[tuple[dict[str, str], bytes]],
                                                            step: int) -> None:
    data = b"".join(eventstream.frame(headers, payload) for headers, payload in messages)
    buffer = EventStreamBuffer()
    read: list[Any] = []
    for start in range(0, len(data), step):
        buffer.add_data(data[start:start + step])
        read += [(message.headers, message.payload) for message in buffer]
    assert read == messages
    ours: list[object] = [(dict(frame.headers), frame.payload) for frame in frames(data)]
    assert ours == messages


def test_events_exceptions_and_errors_carry_aws_headers() -> None:
    data = (eventstream.event("chunk", b"{}") + eventstream.exception("throttlingException", b"{}")
            + eventstream.error("InternalError", "boom"))
    assert [dict(frame.headers) for frame in frames(data)] == [
        {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"},
        {":exception-type": "throttlingException", ":content-type": "application/json",
         ":message-type": "exception"},
        {":message-type": "error", ":error-code": "InternalError", ":error-message": "boom"}]
