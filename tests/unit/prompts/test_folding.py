"""Conversations that are sent as whole sessions."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt
from fmload.model.step import steps_of
from fmload.prompts import store
from fmload.prompts.folding import folded


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def conversation(name: str, turns: int, **more: Any) -> list[Prompt]:
    messages, prompts = [said("system", "Be brief.")], []
    for turn in range(turns):
        messages = [*messages, said("user", f"{name} asks {turn}")]
        prompts.append(Prompt(f"p-{name}-{turn}", "talk", messages=messages, conversation=name, turn=turn,
                              input_tokens=10 + turn, output_tokens=7, think_s=1.5 if turn else 0.0, **more))
        messages = [*messages, said("assistant", f"{name} hears {turn}")]
    return prompts


def fold(prompts: list[Prompt]) -> list[Prompt]:
    return [Prompt(**orjson.loads(line)) for line in folded(store.dumps(prompts), "talk").splitlines()]


def test_each_conversation_is_one_prompt_and_its_turns_are_steps_with_what_is_new_in_them() -> None:
    one, two = fold([*conversation("x", 3), *conversation("y", 1)])
    assert (one.id, two.id, one.conversation) == ("p-x-0", "p-y-0", None)
    steps = steps_of(one)
    assert [(step.id, step.kind, step.after, step.chat) for step in steps] == [
        ("turn-1", "request", [], None), ("think-2", "think", ["turn-1"], None),
        ("turn-2", "request", ["think-2"], "turn-1"), ("think-3", "think", ["turn-2"], None),
        ("turn-3", "request", ["think-3"], "turn-2")]
    asked = [step for step in steps if step.kind == "request"]
    assert asked[1].messages == [said("user", "x asks 1")] and asked[0].answer == "x hears 0"
    assert [step.turn for step in asked] == [0, 1, 2] and all(step.optional for step in asked)
    assert [step.seconds for step in steps if step.kind == "think"] == [1.5, 1.5]


@pytest.mark.parametrize(("served", "counts"), [(False, [10, 11, 12]), (True, [10, None, None])])
def test_the_length_of_a_later_turn_is_known_where_the_answers_before_it_are(served: bool, counts: list[Any]) -> None:
    prompt, = fold(conversation("x", 3, served=served))
    assert [step.input_tokens for step in steps_of(prompt) if step.kind == "request"] == counts
    assert prompt.served == served and prompt.input_tokens == 10


def test_a_set_without_conversations_is_refused_and_the_remedy_told() -> None:
    with pytest.raises(FmloadError, match="no conversations"):
        fold([Prompt("p-0", "talk", text="Hello")])
