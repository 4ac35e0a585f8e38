"""What each request of a session is sent, from what was really answered before."""

from __future__ import annotations

from typing import Any

from fmload.model.reading import Chunk, Reading, ToolCall
from fmload.model.step import SERVED, Step
from fmload.worker.agent_chat import AgentChat

TOOL = {"role": "tool", "name": "search", "content": "90 EUR"}


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def assistant(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def answered(text: str, *calls: ToolCall) -> Reading:
    return Reading([Chunk(1, text=text)], tool_calls=list(calls))


def step(name: str, *messages: dict[str, Any], chat: str | None = None, answer: str | None = None) -> Step:
    return Step(name, "request", chat=chat, messages=list(messages), answer=answer)


def say(chat: AgentChat, one: Step, reading: Reading) -> list[dict[str, Any]]:
    asked = chat.asks(one)
    chat.answered(one, asked, reading)
    return asked


def test_a_chat_goes_on_with_what_was_answered_and_two_chats_do_not_hear_each_other() -> None:
    chat = AgentChat(served=True)
    say(chat, step("a", user("one")), answered("first"))
    assert say(chat, step("b", user("two"), chat="a"), answered("second")) == [
        user("one"), assistant("first"), user("two")]
    assert chat.asks(step("other", user("three"))) == [user("three")]


def test_answers_that_are_made_up_stand_in_the_place_of_the_servers() -> None:
    chat = AgentChat(served=False)
    say(chat, step("a", user("one"), answer="made up"), answered("first"))
    assert chat.asks(step("b", user("two"), chat="a"))[1] == assistant("made up")


def test_the_result_of_a_tool_belongs_to_the_call_that_the_model_made() -> None:
    chat = AgentChat(served=True)
    say(chat, step("a", user("one")), answered("", ToolCall("c1", "search", '{"input":"x"}')))
    asked = chat.asks(step("b", TOOL, chat="a"))
    assert asked[1]["tool_calls"][0]["id"] == "c1" and asked[2] == {**TOOL, "tool_call_id": "c1"}


def test_a_result_that_no_call_asked_for_is_a_message_of_the_user_joined_with_the_next() -> None:
    chat = AgentChat(served=True)
    say(chat, step("a", user("one")), answered("first"))
    assert chat.asks(step("b", TOOL, user("two"), chat="a"))[2:] == [user("search: 90 EUR\n\ntwo")]


def test_a_call_that_nothing_answers_gets_an_empty_result_and_cut_arguments_are_sent_back_as_none() -> None:
    chat = AgentChat(served=True)
    calls = [ToolCall("c1", "other", '{"in'), ToolCall("c2", "search", "{}")]
    say(chat, step("a", user("one")), answered("", *calls))
    asked = chat.asks(step("b", TOOL, chat="a"))
    assert [one["function"]["arguments"] for one in asked[1]["tool_calls"]] == ["{}", "{}"]
    assert [(one["tool_call_id"], one["content"]) for one in asked[2:]] == [("c2", "90 EUR"), ("c1", "")]


def test_what_a_sub_agent_answered_stands_in_the_message_that_brings_it_back() -> None:
    chat = AgentChat(served=True)
    say(chat, step("a", user("one")), answered("first"))
    say(chat, step("sub", user("read")), answered("it says 5"))
    assert chat.asks(step("b", user("", **{SERVED: "sub"}), chat="a"))[-1] == user("it says 5")


def test_a_question_without_an_answer_is_no_part_of_what_was_said() -> None:
    chat = AgentChat(served=True)
    say(chat, step("a", user("one")), answered("first"))
    lost = step("b", user("two"), chat="a")
    chat.unanswered(lost, chat.asks(lost))
    assert chat.asks(step("c", user("three"), chat="b")) == [user("one"), assistant("first"), user("three")]


def test_calls_before_a_lost_question_still_have_their_results() -> None:
    chat = AgentChat(served=True)
    say(chat, step("a", user("one")), answered("", ToolCall("call_1", "search", "{}")))
    lost = step("b", TOOL, chat="a")
    chat.unanswered(lost, chat.asks(lost))
    sent = chat.asks(step("c", user("two"), chat="b"))
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user"]
    assert sent[2]["tool_call_id"] == "call_1"


def test_the_server_holds_what_it_was_asked_and_answered_and_only_where_later_requests_repeat_that() -> None:
    chat = AgentChat(served=True)
    asked = say(chat, step("a", user("one")), Reading([Chunk(1, text="first")], response_id="r1"))
    goes_on = step("b", user("two"), chat="a")
    assert chat.held(step("a", user("one"))) is None and chat.held(goes_on) == ("r1", len(asked) + 1)
    assert chat.asks(goes_on)[chat.held(goes_on)[1]:] == [user("two")]  # type: ignore[index]
    chat.unanswered(goes_on, chat.asks(goes_on))
    assert chat.held(step("c", user("three"), chat="b")) is None  # a lost question is held by no one
    recorded = AgentChat(served=False)
    say(recorded, step("a", user("one"), answer="made up"), Reading([Chunk(1, text="first")], response_id="r1"))
    assert recorded.held(goes_on) is None  # the server holds its own answer, and another one is repeated
