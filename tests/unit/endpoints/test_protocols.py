"""What every protocol does alike, each by the table of `tests.protocols`: the endpoint's own request goes to the
emulator, and what the emulator answers is read to the truth."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml

from fmload.config.abilities import carried_by
from fmload.config.dumping import values
from fmload.config.schema import EndpointSpec, RunFile
from fmload.emulator import planes
from fmload.emulator.faults import parse
from fmload.emulator.profiles import PROFILES
from fmload.emulator.settings import Settings
from fmload.emulator.shape import Shape
from fmload.endpoints.building import build
from fmload.media.gallery import Gallery
from fmload.model.audio import Audio
from fmload.model.prompt import Prompt
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest
from fmload.worker.cancellation import Enough
from fmload.worker.measure import measure, outcome
from tests.protocols import CALL, INPUT, PROTOCOLS, TOKENS, WORDS, Spoken, answered, body_of, reading_of, received, sent

SETTINGS = Settings(profile=PROFILES["instant"])
HAVING = {feature: [name for name, one in PROTOCOLS.items() if feature in one.has]
          for feature in ("counts", "cached", "thinking", "tools", "filter", "times", "session", "finish", "chat")}


@pytest.fixture(params=PROTOCOLS)
def one(request: pytest.FixtureRequest) -> Spoken:
    return PROTOCOLS[request.param]


def having(feature: str) -> Any:
    return pytest.mark.parametrize("one", [PROTOCOLS[name] for name in HAVING[feature]], ids=HAVING[feature])


# --- the request ---

def test_the_request_is_understood_by_a_server_of_the_protocol(one: Spoken) -> None:
    for streamed in (True, False):
        request = received(sent(one.endpoint(stream=streamed)))
        plane = planes.plane_of(request.path)
        assert plane is not None
        ask = planes.open_request(plane, request, 0, SETTINGS).ask
        assert (ask.prompt, ask.max_tokens, ask.stream) == ("hello there", TOKENS, streamed)
        assert ask.model == "m" or one.protocol in ("tgi", "llama_cpp")


RECIPES: dict[str, dict[str, Any]] = {
    "images": {"kind": "image", "format": "png", "content": "noise", "width": 56, "height": 57, "seed": "a"},
    "sound": {"kind": "audio", "audio": Audio(0.5, seed="a", samples=8000).recipe()},
    "video": {"kind": "video", "width": 64, "height": 32, "seconds": 1.0, "fps": 4, "seed": "a"},
}
MEDIA_TOKENS = {"images": 2 * 3, "sound": 16, "video": 258}  # by the emulator's rule
GALLERY = Gallery()


@pytest.mark.parametrize("kind", RECIPES)
def test_what_is_no_text_in_a_prompt_arrives_whole(one: Spoken, kind: str) -> None:
    endpoint = one.endpoint()
    carried = carried_by({"protocol": one.protocol, **one.keys})
    assert carried is not None
    assert ({"sound": "audio"}.get(kind, kind) in carried) == (kind in one.has)
    if kind not in one.has:
        return
    prompt = GALLERY.dressed(Prompt("p", "s", text="what is it?", output_tokens=TOKENS, media=[RECIPES[kind]]))
    assert prompt.carried is not None
    request = received(sent(endpoint, prompt))
    plane = planes.plane_of(request.path)
    assert plane is not None
    ask = planes.open_request(plane, request, 0, SETTINGS).ask
    assert (ask.prompt, ask.media.tokens, ask.media.bytes) == (
        "what is it?", MEDIA_TOKENS[kind], prompt.carried.bytes)
    reading = reading_of(endpoint, prompt=prompt)
    if one.protocol in ("openai", "gemini"):  # which tell the kinds of their input apart
        told = (reading.image_tokens, reading.audio_tokens, reading.video_tokens)
        assert told == tuple(MEDIA_TOKENS[kind] if kind == name else None for name in RECIPES)


def test_the_prompts_parameters_go_over_the_endpoints_and_its_length_over_both(one: Spoken) -> None:
    made = one.endpoint(parameters={"temperature": 0.125, "max_tokens": 5, "top_p": 0.75})
    prompt = Prompt("p", "s", text="x", output_tokens=41, parameters={"temperature": 0.875, "max_tokens": 7})
    told = body_of(sent(made, prompt))
    values = _leaves(told)
    assert 0.875 in values and 0.75 in values and 41 in values
    assert 0.125 not in values and 5 not in values and 7 not in values


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inside in value.values() for leaf in _leaves(inside)]
    return [leaf for inside in value for leaf in _leaves(inside)] if isinstance(value, list) else [value]


@having("chat")
def test_a_conversation_keeps_its_turns(one: Spoken) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"},
             {"role": "assistant", "content": "Me."}, {"role": "user", "content": [{"type": "text", "text": "And?"}]}]
    request = received(sent(one.endpoint(), Prompt("p", "s", messages=turns, output_tokens=5)))
    plane = planes.plane_of(request.path)
    assert plane is not None
    assert planes.open_request(plane, request, 0, SETTINGS).ask.texts == ["Be brief.", "Who?", "Me.", "And?"]


# --- answers ---

def test_a_stream_is_read_to_the_truth(one: Spoken) -> None:
    made = one.endpoint()
    answer = answered(made)
    reading = made.read(answer.exchange)
    assert outcome(answer.exchange, reading) is None
    assert reading.said("answer") == "".join(WORDS)
    ends = [chunk.end for chunk in reading.chunks]
    bounds = zip([0, *answer.ends], ends, answer.ends, strict=False)
    assert len(ends) == TOKENS and all(before < end <= after for before, end, after in bounds)
    assert reading.chunk_tokens_known == one.each
    if "finish" in one.has:
        assert reading.finish_reason == one.said_of_limit


def test_an_answer_in_one_piece_is_read_to_the_truth(one: Spoken) -> None:
    made = one.endpoint(stream=False)
    answer = answered(made)
    reading = made.read(answer.exchange)
    assert outcome(answer.exchange, reading) is None
    assert reading.said("answer") == "".join(WORDS) and len(reading.chunks) == 1
    assert reading.chunks[0].end == len(answer.exchange.body)
    if "counts" in one.has:
        assert reading.chunks[0].tokens == TOKENS


def test_whatever_was_asked_for_what_comes_is_read(one: Spoken) -> None:
    """A server that answers a stream in one piece, and one that streams what was asked for in one."""
    streams, whole = one.endpoint(), one.endpoint(stream=False)
    assert streams.read(answered(whole).exchange).said("answer") == "".join(WORDS)
    assert whole.read(answered(streams).exchange).said("answer") == "".join(WORDS)


@having("counts")
@pytest.mark.parametrize("streamed", [True, False])
def test_the_servers_counts_are_read(one: Spoken, streamed: bool) -> None:
    reading = reading_of(one.endpoint(stream=streamed))
    assert (reading.input_tokens, reading.output_tokens, reading.tokens_source) == (INPUT, TOKENS, "server")


@having("cached")
def test_cached_input_is_part_of_the_input(one: Spoken) -> None:
    for streamed in (True, False):
        reading = reading_of(one.endpoint(stream=streamed), cached=4)
        assert (reading.input_tokens, reading.cached_tokens) == (INPUT, 4)


def test_counts_that_cannot_be_true_are_set_aside(one: Spoken) -> None:
    reading = reading_of(one.endpoint(), fault="usage:factor=100000000")
    assert reading.output_tokens is None and (reading.remark or "counts" not in one.has)


# --- framing ---

def test_a_stream_that_broke_off_anywhere_keeps_what_had_come(one: Spoken) -> None:
    """Cut at every byte: no error, no token more or fewer than had come, and never a success before its end."""
    made = one.endpoint()
    answer = answered(made)
    body = answer.exchange.body
    ends = [chunk.end for chunk in made.read(answer.exchange).chunks]
    for cut in range(len(body)):
        exchange = Exchange("a", status=200, body=body[:cut], complete=False)
        reading = made.read(exchange)
        whole = sum(end <= cut for end in ends)
        assert whole <= len(reading.chunks) <= whole + 1  # servers may forget the last line end
        failure = outcome(exchange, reading)
        assert failure is None or failure.outcome in ("truncated", "empty"), (cut, failure)
        assert failure is not None or cut >= ends[-1] - 4  # an end that lacks its line ends is one


def test_a_first_token_is_seen_once_it_is_whole(one: Spoken) -> None:
    made = one.endpoint()
    answer = answered(made)
    body, first = answer.exchange.body, made.read(answer.exchange).chunks[0].end
    seen = [made.carries_token(body[:cut]) for cut in range(first + 1)]
    assert seen[-1] and seen == sorted(seen) and sum(seen) <= 5  # the line ends may be missing
    assert not one.endpoint(stream=False).carries_token(body)


def test_several_events_in_a_write_are_as_many_chunks(one: Spoken) -> None:
    reading = reading_of(one.endpoint(), shape=Shape(coalesce=3, headers="with_first_token"))
    assert len(reading.chunks) == TOKENS and reading.said("answer") == "".join(WORDS)


def test_a_ping_before_the_first_token_is_no_token(one: Spoken) -> None:
    made = one.endpoint()
    answer = answered(made)
    plane = planes.plane_of(received(sent(made)).path)
    assert plane is not None
    pinged = Exchange("a", status=200, complete=True, body=plane.ping + answer.exchange.body)
    assert len(made.read(pinged).chunks) == TOKENS and outcome(pinged, made.read(pinged)) is None
    assert not made.carries_token(plane.ping)


# --- ends that are none ---

def test_an_error_in_the_stream_is_a_failure_with_the_servers_words(one: Spoken) -> None:
    made = one.endpoint()
    answer = answered(made, fault="error:after=3")
    reading = made.read(answer.exchange)
    assert reading.failure is not None and reading.failure.outcome == "stream_error"
    assert "emulated failure" in reading.failure.message and len(reading.chunks) == 3


@having("finish")
def test_a_stream_that_ends_without_its_end_is_truncated(one: Spoken) -> None:
    made = one.endpoint()
    answer = answered(made, fault="truncate:after=3")
    failure = made.read(answer.exchange).failure
    assert failure is not None and failure.outcome == "truncated"


@pytest.mark.parametrize(("fault", "right"), [
    ("status:code=400", "http_4xx"), ("status:code=429", "throttled"), ("status:code=503", "http_5xx")])
def test_statuses_are_failures_with_the_servers_words(one: Spoken, fault: str, right: str) -> None:
    made = one.endpoint()
    plane = planes.plane_of(received(sent(made)).path)
    assert plane is not None
    refusal = planes.refuse(plane, parse(fault))
    exchange = Exchange("a", status=refusal.status, body=refusal.body, complete=True)
    failure = made.read(exchange).failure
    assert failure is not None and failure.outcome == right and "emulated error" in failure.message


def test_no_token_is_empty_and_what_is_no_message_is_told(one: Spoken) -> None:
    made = one.endpoint()
    nothing = Exchange("a", status=200, complete=True)
    failure = outcome(nothing, made.read(nothing))
    assert failure is not None and failure.outcome == "empty"
    page = Exchange("a", status=200, complete=True, body=b"<html>busy</html>")
    failure = outcome(page, made.read(page))
    assert failure is not None and failure.outcome == "decode"
    spoilt = made.read(answered(made, fault="garbage:after=3").exchange)
    assert len(spoilt.chunks) >= 3


@having("filter")
def test_an_answer_that_a_filter_ended_is_blocked(one: Spoken) -> None:
    made = one.endpoint()
    answer = answered(made, fault="filter:after=4")
    failure = outcome(answer.exchange, made.read(answer.exchange))
    assert failure is not None and failure.outcome == "blocked"


# --- channels ---

@having("thinking")
def test_thinking_is_a_channel_of_its_own_and_counted(one: Spoken) -> None:
    for shape in (Shape(reasoning_tokens=2), Shape(reasoning_tokens=2, reasoning_field="reasoning")):
        for streamed in (True, False):
            reading = reading_of(one.endpoint(stream=streamed), shape=shape)
            assert (reading.said("reasoning"), reading.said("answer")) == ("".join(WORDS[:2]), "".join(WORDS[2:]))
            assert reading.output_tokens == TOKENS
            assert not streamed or [chunk.channel for chunk in reading.chunks] == ["reasoning"] * 2 + ["answer"] * 4


@having("tools")
def test_a_call_of_a_tool_is_kept_with_its_arguments(one: Spoken) -> None:
    for streamed in (True, False):
        reading = reading_of(one.endpoint(stream=streamed), prompt=Prompt("p", "s", text="x", output_tokens=TOKENS,
                                                                          parameters=CALL))
        call, = reading.tool_calls
        assert (call.name, json.loads(call.arguments)) == ("look_up", {"word": "".join(WORDS)})
        assert {chunk.channel for chunk in reading.chunks} == {"tool"} and reading.output_tokens == TOKENS


@having("times")
def test_the_servers_own_times_are_kept(one: Spoken) -> None:
    for streamed in (True, False):
        assert reading_of(one.endpoint(stream=streamed)).detail


@having("session")
def test_a_conversation_that_the_server_holds_goes_on_from_its_last_answer(one: Spoken) -> None:
    made = one.endpoint(session_state="server")
    turns = [{"role": "user", "content": "Who?"}]
    first = made.read(answered(made, Prompt("p", "s", messages=turns, output_tokens=TOKENS)).exchange)
    assert first.response_id is not None
    turns += [{"role": "assistant", "content": first.said("answer")}, {"role": "user", "content": "And?"}]
    later = Prompt("p", "s", messages=turns, goes_on_from=(first.response_id, 2))
    request = received(sent(made, later))
    assert b"And?" in request.body and b"Who?" not in request.body
    plane = planes.plane_of(request.path)
    assert plane is not None
    assert planes.open_request(plane, request, 1, SETTINGS).ask.texts == ["Who?", "".join(WORDS), "And?"]


# --- the load generator around it ---

@pytest.mark.parametrize("tokens", [1, 3, 5])
def test_a_request_is_given_up_at_the_very_token(one: Spoken, tokens: int) -> None:
    made = one.endpoint()
    answer = answered(made)
    enough, body = Enough(made, tokens), answer.exchange.body
    assert [enough(400 + end, lambda end=end: body[:end]) for end in answer.ends].index(True) == tokens - 1


def test_the_key_of_an_echoing_server_is_in_no_record(one: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "odd.key/without-pattern")
    made = one.endpoint(api_key_env="THE_KEY")
    assert any("odd.key/without-pattern" in value for value in sent(made).headers.values())

    class Echo:
        def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
            return Exchange(str(address), status=400, complete=True,
                            body=str(dict(request.headers)).encode())

        def partial(self) -> None:
            return None

    record, _ = measure(made, Prompt("p", "s", text="x"), Echo(), made.addresses()[0], request_id="r", worker="w",
                        stage=0, scheduled_ns=time.monotonic_ns())
    assert record.outcome == "http_4xx" and "odd.key" not in str(record)


def test_a_run_that_is_resumed_asks_the_same(one: Spoken) -> None:
    """The resolved run file, as a resumed run reads it, makes the same request."""
    given = {"name": "e", "protocol": one.protocol, "model": "m", "url": "http://h:8000", **one.keys}
    run = RunFile.model_validate({"name": "r", "endpoints": [given], "prompts": [{"name": "p", "source": "fixed"}],
                                  "load": {"concurrency": [1]}})
    again = RunFile.model_validate(yaml.safe_load(yaml.safe_dump(values(run))))
    assert isinstance(again.endpoints[0], EndpointSpec)
    assert sent(build(again.endpoints[0])) == sent(build(run.endpoints[0]))  # type: ignore[arg-type]
