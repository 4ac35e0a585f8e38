"""Giving up after some tokens: exactly then, and without parsing the whole answer at every read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fmload.config.schema import RunFile
from fmload.endpoints.http import HttpEndpoint
from fmload.worker.cancellation import Enough
from tests.spoken import spoken

HEAD = b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40
ROLE = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'


def event(number: int) -> bytes:
    text = "w" * (1 + number * 7 % 9)  # tokens of different lengths
    return b'data: {"id": "chatcmpl-123", "choices": [{"delta": {"content": "%s"}}]}\n\n' % text.encode()


class Stream:
    """An answer that comes token by token; counts how often its body was asked for."""

    def __init__(self) -> None:
        self.looks, self._body = 0, b""

    def read(self) -> bytes:
        self.looks += 1
        return self._body

    def tokens_until(self, enough: Enough, most: int = 2000) -> int:
        self._body = ROLE
        assert not enough(len(HEAD + self._body), self.read)
        for number in range(1, most):
            self._body += event(number)
            if enough(len(HEAD + self._body), self.read):
                return number
        raise AssertionError("never enough")


@pytest.fixture
def endpoint() -> HttpEndpoint:
    return spoken("openai", "http://127.0.0.1:1/v1", name="a")


@pytest.mark.parametrize("tokens", [1, 2, 3, 10, 57, 500])
def test_a_request_is_given_up_at_the_very_token(endpoint: HttpEndpoint, tokens: int) -> None:
    stream = Stream()
    assert stream.tokens_until(Enough(endpoint, tokens)) == tokens
    assert stream.looks <= min(tokens + 1, 40)


def run_file(cancel: dict[str, Any], **endpoint: Any) -> RunFile:
    return RunFile.model_validate({
        "name": "t", "endpoints": [{"name": "a", "protocol": "openai", "url": "http://127.0.0.1:1/v1", **endpoint}],
        "prompts": [{"name": "p", "source": "fixed"}], "load": {"rate": [1.0], "cancel": {"share": 0.1, **cancel}}})


def test_a_share_to_be_given_up_says_when() -> None:
    assert run_file({"after_tokens": 5, "after": "1s"}).load.cancel is not None
    with pytest.raises(ValidationError, match="says not when: give after"):
        run_file({})


def test_tokens_of_an_answer_that_is_not_streamed_cannot_be_counted_in_time() -> None:
    with pytest.raises(ValidationError, match="counts tokens as they are streamed"):
        run_file({"after_tokens": 5}, stream=False)
    assert run_file({"after": "1s"}, stream=False).load.cancel is not None
