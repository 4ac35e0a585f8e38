"""The client of a user with a scenario: what it sends, what it keeps, and what its sessions become. No load here."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import gevent
import pytest
from gevent import GreenletExit

from fmload.endpoints.base import Made
from fmload.endpoints.inputs_answer import Ranked, numbers_of, ranked_of
from fmload.locust.client import Client, RequestLost
from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk, Reading, ToolCall
from fmload.model.record import Record
from fmload.model.session import Session


class EndsItself(Exception):
    """As Locust's RescheduleTask: a task that has had enough."""


CALL = ToolCall("call_1", "search", '{"query":"x"}')


BODIES = {"vectors": b'{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[0.5,2]}]}',
          "rankings": b'{"results":[{"index":1,"relevance_score":0.25},{"index":0,"relevance_score":0.5}]}'}


class Server:
    """Answers every prompt as the test says; keeps what was sent and how sessions ended."""

    def __init__(self, *outcomes: str, calls: list[ToolCall] | None = None) -> None:
        self.sent: list[tuple[Prompt, dict[str, Any]]] = []
        self.sessions: list[Session] = []
        self._outcomes, self._calls = list(outcomes), calls or []

    def client(self, raises: bool = False) -> Client:
        return Client("Person", self.send, lambda session: self.sessions.append(session) if session else None, raises,
                      (EndsItself,), at=lambda: (0, "e"))

    def send(self, prompt: Prompt, note: dict[str, Any], makes: Made = "text",
             endpoint: str | None = None) -> tuple[Record, Reading]:
        self.sent.append((prompt, note))
        number = len(self.sent)
        if makes != "text":
            record = Record(f"r{number}", "w", 7, makes, "chat", prompt.id, 0, send_ns=number * 100,
                            last_token_ns=number * 100 + 20, outcome="ok", input_tokens=3)
            return record, Reading(body=BODIES[makes])
        outcome: Any = self._outcomes.pop(0) if self._outcomes else "ok"
        record = Record(f"r{number}", "w", 0, "e", "chat", prompt.id, 0, send_ns=number * 100,
                        first_token_ns=number * 100 + 10, last_token_ns=number * 100 + 50, outcome=outcome,
                        output_tokens=2)
        return record, Reading([Chunk(1, text=f"answer {number}")], tool_calls=self._calls,
                               response_id=f"resp_{number}")


def test_a_call_is_a_chat_with_its_own_parameters_and_name() -> None:
    server = Server()
    answer = server.client().chat("Why?", name="ask", max_tokens=7, exact_tokens=True, temperature=0)
    (prompt, note), = server.sent
    assert prompt.messages == [{"role": "user", "content": "Why?"}]
    assert (prompt.output_tokens, prompt.exact_output, prompt.parameters) == (7, True, {"temperature": 0})
    assert note == {"name": "ask", "user": "Person"}
    assert (answer.text, answer.ok, answer.ttft_s, answer.e2e_s) == ("answer 1", True, 1e-8, 5e-8)


def test_the_next_turn_carries_what_the_server_really_said_with_its_tool_calls() -> None:
    server = Server(calls=[CALL])
    with server.client().session("chat", system="Be brief.") as chat:
        chat.ask("One?")
        chat.tool_result(CALL, {"found": 1})
        chat.ask(name="go on")
    assert server.sent[1][0].messages == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "answer 1", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": '{"query":"x"}'}}]},
        {"role": "tool", "tool_call_id": "call_1", "name": "search", "content": '{"found":1}'}]
    assert [(note["name"], note["turn"], note["step"]) for _, note in server.sent] == [("chat", 0, 0), ("go on", 1, 1)]


def test_a_question_without_an_answer_is_not_repeated_in_the_next_turn() -> None:
    server = Server("http_5xx", "ok")
    with server.client().session() as chat:
        assert not chat.ask("Lost?").ok
        chat.ask("Again?")
    assert server.sent[1][0].messages == [{"role": "user", "content": "Again?"}]
    assert [session.outcome for session in server.sessions] == ["failed"]


def test_requests_side_by_side_in_greenlets_are_of_the_session_and_those_after_it_are_not() -> None:
    server = Server()
    client = server.client()
    with client.session("job"):
        gevent.joinall([gevent.spawn(client.chat, "Left?"), gevent.spawn(client.chat, "Right?")])
    client.chat("Outside?")
    sessions = [note.get("session") for _, note in server.sent]
    assert sessions[0] == sessions[1] == server.sessions[0].session and sessions[2] is None
    assert [note.get("step") for _, note in server.sent] == [0, 1, None]
    assert server.sessions[0].requests == 2


@pytest.mark.parametrize(("raised", "outcome"), [
    (None, "finished"), (EndsItself(), "finished"), (GreenletExit(), "cut"), (KeyError("a bug"), "failed")])
def test_how_its_block_is_left_says_how_a_session_ended(raised: BaseException | None, outcome: str) -> None:
    server = Server()

    def run() -> None:
        with server.client().session("chat") as chat:
            chat.ask("Hello?")
            if raised is not None:
                raise raised
    if raised is None:
        run()
    else:
        with pytest.raises(type(raised)):
            run()
    assert [session.outcome for session in server.sessions] == [outcome]


def test_a_failure_is_an_answer_and_an_exception_only_where_it_is_asked_for() -> None:
    assert Server("throttled").client().chat("x").outcome == "throttled"
    with pytest.raises(RequestLost, match="ask: throttled"):
        Server("throttled").client().chat("x", name="ask", raise_for_failure=True)
    with pytest.raises(RequestLost):
        Server("throttled").client(raises=True).chat("x")
    assert Server("throttled").client(raises=True).chat("x", raise_for_failure=False).outcome == "throttled"


def test_the_same_messages_have_the_same_prompt_id_and_others_another() -> None:
    server = Server()
    client = server.client()
    for text in ("x", "x", "y"):
        client.chat(text)
    first, second, third = (prompt.id for prompt, _ in server.sent)
    assert first == second != third


def test_importing_the_package_imports_nothing_of_locust_and_an_unknown_name_is_an_error() -> None:
    code = "import fmload.locust, sys; assert 'locust' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="NoSuchUser"):
        _ = importlib.import_module("fmload.locust").NoSuchUser


def test_a_request_of_a_session_tells_which_one_it_goes_on_from_and_a_chat_of_its_own_tells_none() -> None:
    server = Server()
    client = server.client()
    with client.session() as chat:
        chat.ask("One?")
        client.chat("Something else?")
        chat.ask("Two?")
        del chat.messages[:2]
        chat.ask("Three, of a context that was cut?")
    assert [note["goes_on"] for _, note in server.sent] == [None, None, 0, None]


def test_vectors_are_in_the_order_of_their_texts_and_their_request_is_of_the_session_but_not_its_stage() -> None:
    server = Server()
    client = server.client()
    with client.session("question") as chat:
        answer = client.embed(["left", "right"], dimensions=2)
        chat.ask("Which one?")
    (embedded, note), (_, asked) = server.sent
    assert (embedded.inputs, embedded.messages, embedded.parameters) == (["left", "right"], None, {"dimensions": 2})
    assert answer.ok and answer.vectors == [[0.5, 2.0], [3.0, 4.0]] and answer.input_tokens == 3
    assert note == {"name": "embed", "user": "Person", "session": chat.log.session, "of": "question", "turn": 0,
                    "step": 0, "goes_on": None}
    assert asked["step"] == 1
    session, = server.sessions
    assert (session.stage, session.endpoint, session.requests, session.begin_ns) == (0, "e", 2, 100)


def test_a_ranking_is_best_first_and_its_request_holds_the_query_beside_the_documents() -> None:
    server = Server()
    client = server.client()
    with client.session("question") as chat:
        answer = client.rerank("A colour?", ["red", "seven"], top_n=2)
        chat.ask("Which one?")
    (ranked, note), (_, asked) = server.sent
    assert (ranked.text, ranked.inputs, ranked.messages, ranked.parameters) == (
        "A colour?", ["red", "seven"], None, {"top_n": 2})
    assert answer.ok and answer.ranking == [Ranked(0, 0.5), Ranked(1, 0.25)]
    assert (note["name"], note["step"], note["goes_on"], asked["step"]) == ("rerank", 0, None, 1)
    session, = server.sessions
    assert (session.stage, session.endpoint, session.requests) == (0, "e", 2)


def test_a_session_that_has_asked_for_vectors_alone_is_of_the_stage_and_endpoint_of_its_user() -> None:
    server = Server()
    client = server.client()
    with client.session("index"):
        client.embed(["left", "right"])
    session, = server.sessions
    assert (session.stage, session.endpoint, session.worker, session.requests) == (0, "e", "w", 1)


@pytest.mark.parametrize("body", [
    b'{"results":[{"index":1,"relevance_score":0.5},{"index":0,"relevance_score":0.25}]}',
    b'{"data":[{"index":0,"relevance_score":0.25},{"index":1,"relevance_score":0.5}]}',
    b'[{"index":0,"score":0.25},{"index":1,"score":0.5}]'])
def test_a_ranking_is_read_in_the_form_of_each_server(body: bytes) -> None:
    assert ranked_of(body) == [Ranked(1, 0.5), Ranked(0, 0.25)]


def test_a_turn_names_the_answer_that_it_goes_on_from_where_it_begins_with_all_that_was_said_up_to_it() -> None:
    server = Server("ok", "http_4xx")
    with server.client().session("talk", system="Be brief.") as chat:
        chat.ask("One?")
        chat.ask("Lost?")
        chat.ask("Two?")
        chat.messages[0] = {"role": "system", "content": "Be long."}
        chat.ask("Three?")
        chat.ask()
    assert [prompt.goes_on_from for prompt, _ in server.sent] == [
        None, ("resp_1", 3), ("resp_1", 3), None, None]


@pytest.mark.parametrize(("body", "vectors"), [
    (b'[[1,2],[3,4]]', [[1, 2], [3, 4]]), (b'[1,2]', [[1, 2]]), (b'{"embedding":[1,2]}', [[1, 2]]),
    (b'{"embeddings":{"float":null,"int8":[[1,2]]}}', [[1, 2]]), (b'{"embeddingsByType":{"float":[1,2]}}', [[1, 2]]),
    (b'[{"index":1,"embedding":[[3,4]]},{"index":0,"embedding":[[1,2]]}]', [[1, 2], [3, 4]]),
    (b'[[1],[2]]', [[1], [2]]), (b'{"embeddings":[[1,2]]}', [[1, 2]]),
    (b'{"embeddings":{"float":[[1,2],[3,4]]}}', [[1, 2], [3, 4]]),
    (b'{"data":[{"embedding":"AACAPwAAAEA="}]}', [[1, 2]]), (b'{"embeddings":{"base64":["AACAPwAAAEA="]}}', [[1, 2]])])
def test_vectors_are_read_in_the_form_of_each_server(body: bytes, vectors: list[list[float]]) -> None:
    assert numbers_of(body) == vectors


def test_a_greenlet_is_of_the_session_in_which_it_was_started_and_of_none_that_began_after_it() -> None:
    server = Server()
    client = server.client()
    before = gevent.spawn(client.chat, "Before?")
    with client.session("job"):
        inside = gevent.spawn(lambda: gevent.spawn(client.chat, "Inside?").join())
        gevent.joinall([before, inside])
    told = {prompt.messages[0]["content"]: note.get("of") for prompt, note in server.sent if prompt.messages}
    assert told == {"Before?": None, "Inside?": "job"}
    assert server.sessions[0].requests == 1
