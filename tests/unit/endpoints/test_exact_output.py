"""What each kind of endpoint is sent so that an answer is exactly as long as asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from fmload.endpoints.payloads import PayloadFormat, request_body
from fmload.model.prompt import Prompt
from tests.spoken import spoken

PROMPT = Prompt("p", "s", text="Hi", output_tokens=7, exact_output=True)


def openai_body(prompt: Prompt, **options: Any) -> dict[str, Any]:
    endpoint = spoken("openai", "http://h/v1", **options)
    return orjson.loads(endpoint.request(prompt, "r", endpoint.addresses()[0]).body)  # type: ignore[no-any-return]


def test_openai_servers_are_told_to_pass_over_end_marks_until_the_length() -> None:
    body = openai_body(PROMPT)
    assert (body["max_tokens"], body["min_tokens"], body["ignore_eos"]) == (7, 7, True)


def test_without_exact_output_nothing_is_added() -> None:
    assert not openai_body(replace(PROMPT, exact_output=False)).keys() & {"min_tokens", "ignore_eos"}


def test_other_servers_words_can_be_given() -> None:
    body = openai_body(PROMPT, exact_output_parameters={"min_length": "$max_tokens"})
    assert body["min_length"] == 7 and "ignore_eos" not in body


@pytest.mark.parametrize(("kind", "sent"), [
    ("openai", {"ignore_eos": True, "min_tokens": 7}), ("djl", {"ignore_eos_token": True, "min_tokens": 7}),
    ("jumpstart", {"min_new_tokens": 7}), ("tgi", {})])
def test_containers_get_what_their_format_knows(kind: PayloadFormat, sent: dict[str, Any]) -> None:
    known = {"ignore_eos", "ignore_eos_token", "min_tokens", "min_new_tokens"}
    for exact, expected in ((True, sent), (False, {})):
        body = orjson.loads(request_body(kind, replace(PROMPT, exact_output=exact), {}, stream=True))
        chosen = body.get("parameters", body)
        assert {name: chosen[name] for name in known & chosen.keys()} == expected


def test_a_container_is_sent_what_the_run_file_says() -> None:
    body = orjson.loads(request_body("tgi", PROMPT, {}, stream=True, exact={"least": "$max_tokens"}))
    assert body["parameters"]["least"] == 7
