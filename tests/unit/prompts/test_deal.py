"""The order in which a worker sends its prompts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fmload.config.schema import EndpointSpec
from fmload.model.prompt import Prompt
from fmload.prompts.deal import Deal, deals_of


def prompt(name: str, conversation: str | None = None, turn: int = 0, think_s: float = 0.0) -> Prompt:
    return Prompt(id=name, prompt_set="s", text=name, conversation=conversation, turn=turn, think_s=think_s)


A0, A1, A2 = prompt("a0", "a"), prompt("a1", "a", 1, 5.0), prompt("a2", "a", 2, 1.0)
B0, B1 = prompt("b0", "b"), prompt("b1", "b", 1)


@given(st.integers(1, 20), st.integers(1, 60))
def test_every_prompt_comes_once_before_any_comes_again(size: int, taken: int) -> None:
    deal = Deal([prompt(str(index)) for index in range(size)])
    assert [int(deal.take(0.0).id) for _ in range(taken)] == [index % size for index in range(taken)]


def test_a_turn_waits_for_the_answer_before_it_and_for_its_think_time() -> None:
    deal = Deal([A0, A1, A2, B0])
    assert [deal.take(0.0).id, deal.take(0.0).id] == ["a0", "b0"]
    deal.answered(A0, 10.0)
    assert deal.take(14.9).id == "a0"  # nobody else is left, and a1 is not due yet
    assert deal.take(15.0).id == "a1"
    assert deal.take(99.0).id == "b0"  # a1 has no answer yet
    deal.answered(A1, 100.0)
    assert deal.take(101.0).id == "a2"


def test_what_has_been_due_longest_comes_first() -> None:
    deal = Deal([A0, A1, B0, B1])
    deal.answered(A0, 0.0)
    deal.answered(B0, 1.0)
    assert [deal.take(6.0).id for _ in range(2)] == ["b1", "a1"]


def test_a_conversation_that_is_begun_again_is_another_one_to_its_last_turn() -> None:
    deal = Deal([A0, A2])
    first, again = deal.take(0.0), deal.take(0.0)
    assert (first.conversation, again.conversation) == ("a", "a/2")
    assert deal.goes_on(first) and deal.goes_on(again)
    deal.answered(again, 0.0)
    deal.answered(first, 1.0)
    later = [deal.take(9.0) for _ in range(2)]
    assert [(one.id, one.conversation) for one in later] == [("a2", "a/2"), ("a2", "a")]
    assert not any(deal.goes_on(one) for one in later)


def test_a_conversation_that_lost_a_turn_to_a_filter_goes_on() -> None:
    deal = Deal([A0, A2, B0])
    deal.answered(A0, 0.0)
    assert deal.take(1.0).id == "a2"


def test_two_conversations_of_one_name_are_not_mixed() -> None:
    deal = Deal([A0, A1, prompt("c0", "a"), prompt("c1", "a", 1)])
    assert [deal.take(0.0).id for _ in range(3)] == ["a0", "c0", "a0"]


def endpoint(name: str, **keys: object) -> EndpointSpec:
    return EndpointSpec.model_validate({"name": name, "protocol": "openai", "url": "http://h/v1", "model": "m", **keys})


def test_endpoints_of_one_server_are_sent_different_prompts_and_those_of_two_the_same() -> None:
    endpoints = [endpoint("a"), endpoint("b", parameters={"temperature": 1}, stream=False), endpoint("c", model="n"),
                 endpoint("d", url="http://i/v1")]
    deals = deals_of(endpoints, {"s": [prompt("0"), prompt("1")]}, {"d": {"s": "1"}})
    assert [deals[name, "s"].take(0.0).id for name in "abcd"] == ["0", "1", "0", "1"]
