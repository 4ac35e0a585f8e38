"""What the comparison of multi-turn modes reads in the server's log."""

from __future__ import annotations

from fmload.emulator.truth import Truth
from tests.bench.sessions_beside import Turn, questions, turns_of


def request(at: int, said: str, *asked: str) -> Truth:
    roles = ["user", "assistant"] * len(asked)
    return Truth(f"r{at}", at, received_ns=at, asked=list(asked), roles=roles[:len(asked)], said=said,
                 input_tokens=10 * len(asked))


def test_turns_are_told_with_whose_answers_they_repeat_and_whose_questions_they_ask() -> None:
    talks = [["a1", "a2"], ["b1", "b2"]]
    log = [request(4, "right", "b1", "made up", "b2"), request(1, "one", "a1"), request(2, "two", "b1"),
           request(3, "left", "a1", "one", "another question")]
    assert turns_of(log, talks) == [Turn(2, ("user",), 10.0, 0, 0, 2),
                                    Turn(2, ("user", "assistant", "user"), 30.0, 2, 1, 1)]


def test_the_questions_are_the_same_each_time_and_no_two_conversations_begin_alike() -> None:
    assert questions() == questions()
    assert len({talk[0] for talk in questions()}) == len(questions())
