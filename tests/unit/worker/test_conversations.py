"""Conversations of prepared prompts: served answers stand in later turns, and each conversation is a session."""

from __future__ import annotations

from typing import Any

from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk, Reading, ToolCall
from fmload.model.record import Record
from fmload.model.session import Session
from fmload.worker.conversations import Conversations
from fmload.worker.slots import Lane

LANE = Lane(2, "e", "chat")
SYSTEM = {"role": "system", "content": "Be brief."}


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def prompts(turns: int = 3, served: bool = True, conversation: str = "c") -> list[Prompt]:
    messages, made = [SYSTEM], []
    for turn in range(turns):
        messages = [*messages, said("user", f"question {turn}")]
        made.append(Prompt(f"p-{turn}", "chat", messages=list(messages), conversation=conversation, turn=turn,
                           served=served, input_tokens=9))
        messages = [*messages, said("assistant", f"made up {turn}")]
    return made


class Talk:
    """Sends turns one after the other, as the dispatcher does."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.conversations = Conversations(self.sessions.append)
        self.notes: list[dict[str, Any]] = []
        self._instant = 0

    def turn(self, prompt: Prompt, outcome: Any = "ok", goes_on: bool = True, lane: Lane = LANE) -> Prompt:
        sent, note = self.conversations.begin(lane, prompt)
        self.notes.append(note)
        self._instant += 100
        record = Record("r", "w", lane.stage, lane.endpoint, "chat", prompt.id, 0, send_ns=self._instant,
                        last_token_ns=self._instant + 40, outcome=outcome)
        reading = Reading([Chunk(1, text=f"served {prompt.turn}")] if outcome == "ok" else [],
                          response_id=f"r{prompt.turn}")
        self.conversations.ended(lane, prompt, sent, (record, reading), goes_on=goes_on)
        return sent


def test_each_turn_carries_what_the_server_really_said_and_its_count_is_no_more_known() -> None:
    talk, made = Talk(), prompts()
    sent = [talk.turn(prompt) for prompt in made]
    assert sent[0] == made[0]
    assert sent[2].messages == [SYSTEM, said("user", "question 0"), said("assistant", "served 0"),
                                said("user", "question 1"), said("assistant", "served 1"), said("user", "question 2")]
    assert [prompt.input_tokens for prompt in sent] == [9, None, None]


def test_a_turn_names_the_answer_that_it_goes_on_from_and_how_many_messages_the_server_holds_by_it() -> None:
    talk, made = Talk(), prompts(turns=4)
    assert [talk.turn(prompt).goes_on_from for prompt in made[:2]] == [None, ("r0", 3)]
    assert talk.turn(made[2], outcome="http_5xx").goes_on_from == ("r1", 5)
    assert talk.turn(made[3]).goes_on_from is None  # what failed is held by no one: all is sent again
    assert [talk.turn(prompt).goes_on_from for prompt in prompts(served=False)] == [None, None, None]


def test_without_served_answers_a_prompt_is_sent_as_it_was_made() -> None:
    talk, made = Talk(), prompts(served=False)
    assert [talk.turn(prompt) for prompt in made] == made


def test_a_question_without_an_answer_is_no_part_of_what_was_said() -> None:
    talk, (first, second, third) = Talk(), prompts()
    talk.turn(first)
    talk.turn(second, outcome="http_5xx")
    assert talk.turn(third).messages == [SYSTEM, said("user", "question 0"), said("assistant", "served 0"),
                                         said("user", "question 2")]


def test_a_first_question_that_fails_leaves_the_next_turn_without_it() -> None:
    talk, (first, second, _) = Talk(), prompts()
    talk.turn(first, outcome="http_5xx")
    sent = talk.turn(second).messages
    assert sent == [SYSTEM, said("user", "question 1")]


def test_two_conversations_and_two_endpoints_do_not_hear_each_other() -> None:
    talk, other = Talk(), Lane(3, "f", "chat")
    one, two = prompts(conversation="c"), prompts(conversation="d")
    for prompt, lane in ((one[0], LANE), (two[0], LANE), (one[0], other)):
        talk.turn(prompt, lane=lane)
    talk.turn(one[1])
    assert len(talk.turn(two[1]).messages or []) == len(talk.turn(one[1], lane=other).messages or []) == 4


def test_a_conversation_is_a_session_that_is_finished_with_its_last_turn() -> None:
    talk = Talk()
    for prompt in prompts():
        talk.turn(prompt, goes_on=prompt.turn < 2)
    session, = talk.sessions
    assert (session.outcome, session.requests, session.stage, session.name) == ("finished", 3, 2, "chat")
    assert (session.begin_ns, session.end_ns, session.in_requests_ns) == (100, 340, 120)
    assert [(note["session"], note["turn"], note["step"]) for note in talk.notes] == [
        (session.session, turn, turn) for turn in range(3)]


def test_a_stage_that_closes_cuts_the_session_and_the_conversation_goes_on_in_the_next_as_none() -> None:
    talk, (first, second, _) = Talk(), prompts()
    talk.turn(first)
    talk.conversations.cut()
    sent = talk.turn(second, goes_on=False, lane=Lane(5, "e", "chat"))
    assert [session.outcome for session in talk.sessions] == ["cut"]
    assert said("assistant", "served 0") in (sent.messages or []) and "session" not in talk.notes[1]


def test_a_stage_that_closes_in_a_last_turn_leaves_the_session_to_its_answer() -> None:
    talk, (first, second) = Talk(), prompts(2)
    talk.turn(first)
    sent, _ = talk.conversations.begin(LANE, second)
    talk.conversations.cut()
    assert talk.sessions == []
    record = Record("r", "w", 2, "e", "chat", second.id, 0, send_ns=900, last_token_ns=950)
    talk.conversations.ended(LANE, second, sent, (record, Reading([Chunk(1, text="bye")])), goes_on=False)
    assert [(session.outcome, session.requests, session.end_ns) for session in talk.sessions] == [("finished", 2, 950)]


def test_a_stage_that_closes_in_a_first_turn_cuts_the_session_when_that_has_ended() -> None:
    talk, (first, _) = Talk(), prompts(2)
    sent, note = talk.conversations.begin(LANE, first)
    talk.conversations.cut()
    assert talk.sessions == []
    record = Record("r", "w", 2, "e", "chat", first.id, 0, send_ns=100, last_token_ns=140)
    talk.conversations.ended(LANE, first, sent, (record, Reading([Chunk(1, text="hi")])), goes_on=True)
    assert [(session.session, session.outcome) for session in talk.sessions] == [(note["session"], "cut")]


def test_calls_of_the_model_that_nothing_answers_get_empty_results_for_a_server_refuses_them_without() -> None:
    talk, (first, second, _) = Talk(), prompts()
    sent, _ = talk.conversations.begin(LANE, first)
    record = Record("r", "w", 2, "e", "chat", first.id, 0, send_ns=1, last_token_ns=2)
    reading = Reading([Chunk(1, text="")], tool_calls=[ToolCall("call_1", "search", '{"cut')])
    talk.conversations.ended(LANE, first, sent, (record, reading), goes_on=True)
    messages = talk.turn(second).messages or []
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "user"]
    assert messages[3] == {"role": "tool", "tool_call_id": "call_1", "name": "search", "content": ""}
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == "{}"  # cut off in the middle
