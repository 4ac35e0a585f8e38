"""A prepared session as it is run: its order, its ends, and what its records and its own row say."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk, Reading
from fmload.model.record import Record
from fmload.model.session import Session
from fmload.model.step import Step, session_prompt
from fmload.worker.session_run import SessionRun


def ask(name: str, *after: str, **more: Any) -> Step:
    return Step(name, "request", list(after), name=name, messages=[{"role": "user", "content": name}], **more)


def tool(name: str, *after: str) -> Step:
    return Step(name, "tool", list(after), name=name)


class Server:
    """Answers at once, in turns of the loop; `outcomes` by name, one a time that it is asked."""

    def __init__(self, **outcomes: list[str]) -> None:
        self.outcomes = outcomes
        self.asked: list[str] = []
        self.notes: list[dict[str, Any]] = []
        self.prompts: list[Prompt] = []
        self.open = True
        self.named = False  # whether its answers have names
        self.sessions: list[Session] = []
        self.on_ask: Callable[[str], None] = lambda name: None
        self._instants = itertools.count(100, 100)

    def __call__(self, prompt: Prompt, due_ns: int, note: dict[str, Any]) -> tuple[Record, Reading]:
        name = prompt.id.partition(":")[2]
        self.asked.append(name)
        self.notes.append(note)
        self.prompts.append(prompt)
        send_ns = next(self._instants)
        self.on_ask(name)
        gevent.sleep(0)
        left = self.outcomes.get(name) or ["ok"]
        outcome: Any = left.pop(0) if len(left) > 1 else left[0]
        last_ns = next(self._instants)
        return (Record("r", "w", 2, "e", "job", prompt.id, due_ns, send_ns=send_ns, first_token_ns=send_ns + 10,
                       last_token_ns=last_ns, end_ns=last_ns, outcome=outcome),
                Reading([Chunk(1, text=f"{name} answered")],
                        response_id=f"{name}'s answer" if self.named else None))

    def run(self, *steps: Step, served: bool = True) -> Session:
        prompt = session_prompt(steps, served, prompt_set="job", id="job-000001")
        self.session_run = SessionRun(prompt, "2/e/job-000001", self, self.sessions.append, lambda: self.open)
        self.session_run.run(50)
        session, = self.sessions
        return session


def test_a_step_begins_when_the_last_that_it_waits_for_has_ended_and_branches_lie_side_by_side() -> None:
    server = Server()
    session = server.run(ask("plan"), tool("search", "plan"), ask("left", "plan"), ask("right", "search"),
                         ask("write", "left", "right"))
    assert server.asked[0] == "plan" and server.asked[-1] == "write" and set(server.asked[1:3]) == {"left", "right"}
    assert (session.outcome, session.requests, session.failed, session.name) == ("finished", 4, 0, "job")


def test_records_tell_their_session_their_turn_and_their_name() -> None:
    server = Server()
    server.run(ask("plan"), ask("write", "plan"))
    assert [(note["session"], note["turn"], note["step"], note["name"]) for note in server.notes] == [
        ("2/e/job-000001", 0, 0, "plan"), ("2/e/job-000001", 1, 1, "write")]
    assert [prompt.id for prompt in server.prompts] == ["job-000001:plan", "job-000001:write"]
    assert {prompt.conversation for prompt in server.prompts} == {"2/e/job-000001"}


def test_a_lost_request_ends_the_session_and_nothing_that_waits_for_it_is_sent() -> None:
    server = Server(plan=["http_5xx"])
    session = server.run(ask("plan"), ask("write", "plan"))
    assert server.asked == ["plan"] and (session.outcome, session.failed) == ("failed", 1)


def test_a_request_that_is_sent_again_and_then_answered_is_not_lost_and_its_failure_is_counted() -> None:
    server = Server(plan=["http_5xx", "throttled", "ok"])
    session = server.run(ask("plan", retries=2), ask("write", "plan"))
    assert server.asked == ["plan", "plan", "plan", "write"]
    assert (session.outcome, session.requests, session.failed) == ("finished", 4, 2)
    assert [note.get("attempt") for note in server.notes] == [None, 1, 2, None]


def test_retries_that_are_used_up_lose_the_session() -> None:
    server = Server(plan=["http_5xx"])
    session = server.run(ask("plan", retries=1), ask("write", "plan"))
    assert server.asked == ["plan", "plan"] and session.outcome == "failed"


def test_a_session_goes_on_without_an_optional_answer_and_is_not_finished() -> None:
    server = Server(plan=["http_5xx"])
    session = server.run(ask("plan", optional=True), ask("write", "plan", chat="plan"))
    assert server.asked == ["plan", "write"] and session.outcome == "failed"
    assert server.prompts[1].messages == [{"role": "user", "content": "write"}]


def test_a_stage_that_closes_cuts_the_session_with_the_request_that_is_under_way() -> None:
    server = Server()

    def close(name: str) -> None:
        server.open = False
        server.session_run.close()

    server.on_ask = close
    session = server.run(ask("plan"), ask("write", "plan"))
    assert server.asked == ["plan"] and session.outcome == "cut"


def test_a_stage_that_closes_in_the_last_request_leaves_the_session_to_its_end() -> None:
    server = Server()

    def close(name: str) -> None:
        if name == "write":
            server.open = False
            server.session_run.close()

    server.on_ask = close
    assert server.run(ask("plan"), ask("write", "plan")).outcome == "finished"


def test_a_session_that_is_killed_is_cut_and_its_branches_end_with_it() -> None:
    server = Server()
    prompt = session_prompt([ask("plan"), ask("left", "plan"), ask("right", "plan")], True, prompt_set="job", id="j")
    run = SessionRun(prompt, "s", server, server.sessions.append, lambda: True)
    greenlet = gevent.Greenlet(run.run, 50)
    server.on_ask = lambda name: greenlet.kill(block=False) if name == "left" else None
    greenlet.start()
    greenlet.join()
    session, = server.sessions
    assert session.outcome == "cut" and server.asked[:2] == ["plan", "left"]


@pytest.mark.parametrize(("tools", "thinks"), [(0.25, 0.5)])
def test_a_request_tells_how_long_tools_and_thinking_took_since_the_one_before(
        tools: float, thinks: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmload.worker.session_run.gevent.sleep", lambda seconds=0: None)
    server = Server()
    server.run(ask("plan"), Step("t", "tool", ["plan"], seconds=tools), Step("p", "think", ["t"], seconds=thinks),
               ask("write", "p"), ask("last", "write"))
    assert [(note.get("tools_s"), note.get("thinking_s")) for note in server.notes] == [
        (None, None), (tools, thinks), (None, None)]


def test_records_tell_which_request_their_chat_goes_on_from() -> None:
    server = Server(lost=["http_5xx"], plan=["http_5xx", "ok"])
    server.run(ask("plan", retries=1), ask("reader", "plan"), ask("lost", "reader", chat="plan", optional=True),
               ask("write", "lost", chat="lost"), ask("check", "write", chat="write"))
    told = {name: note["goes_on"] for name, note in zip(server.asked, server.notes, strict=True)}
    assert [note["step"] for note in server.notes] == [0, 1, 2, 3, 4, 5]
    # an agent of its own begins anew; a lost question is no part of the chat
    assert told == {"plan": None, "reader": None, "lost": 1, "write": 1, "check": 4}


def test_a_request_names_the_answer_that_it_goes_on_from_and_one_that_is_sent_again_needs_none() -> None:
    server = Server(write=["http_4xx", "ok"])
    server.named = True
    server.run(ask("plan"), ask("write", "plan", chat="plan", retries=1), ask("check", "write", chat="write"),
               ask("reader", "plan"))
    told = [(name, prompt.goes_on_from) for name, prompt in zip(server.asked, server.prompts, strict=True)]
    assert ("plan", None) in told and ("reader", None) in told
    assert [held for name, held in told if name == "write"] == [("plan's answer", 2), None]
    assert [held for name, held in told if name == "check"] == [("write's answer", 4)]
