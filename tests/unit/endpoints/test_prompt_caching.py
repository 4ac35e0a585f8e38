"""Prompt caching as a work load on Bedrock: what is marked, for how long, and how what was written is read."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.emulator.anthropic import MessagesDialect
from fmload.emulator.bedrock import _cache_ttl, _usage
from fmload.emulator.dialect import Ask, Usage
from fmload.endpoints import converse
from fmload.endpoints.answer import Answer
from fmload.endpoints.bedrock_bodies import read_converse
from fmload.model.prompt import Prompt

CHAT = Prompt("p", "p", messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"},
                                  {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}])
TOOLS = {"tools": [{"type": "function", "function": {"name": "search"}}]}


@pytest.mark.parametrize(("ttl", "point"), [("5m", {"type": "default"}), ("1h", {"type": "default", "ttl": "1h"})])
def test_cache_points_stand_behind_tools_system_and_the_last_turn(ttl: str, point: dict[str, str]) -> None:
    made = converse.marked(converse.arguments(CHAT, TOOLS), ttl)
    for blocks in (made["system"], made["messages"][-1]["content"], made["toolConfig"]["tools"]):
        assert blocks[-1] == {"cachePoint": point}
    assert "cachePoint" not in str(made["messages"][:-1])
    assert _cache_ttl(made) == ttl


def test_a_mark_of_an_hour_in_anthropics_form_stays_one_of_an_hour() -> None:
    part = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    blocks = converse.blocks_of(CHAT, [part])
    assert blocks[1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    marked = converse.marked({"messages": [{"role": "user", "content": blocks}]}, "5m")
    assert marked["messages"][0]["content"] == blocks


@pytest.mark.parametrize(("ttl", "hour"), [("5m", 0), ("1h", 60)])
def test_what_was_written_is_read_with_how_long_it_stays(ttl: str, hour: int) -> None:
    answer = Answer()
    read_converse(answer, {"metadata": {"usage": _usage(Usage(100, 7, 40), ttl)}}, 1)
    assert (answer.reading.cache_write_tokens, answer.reading.cache_write_1h_tokens) == (60, hour)


def test_the_emulator_counts_what_comes_from_the_cache_apart_as_bedrock_does() -> None:
    assert _usage(Usage(100, 7, 40), None) == {
        "inputTokens": 60, "outputTokens": 7, "totalTokens": 107, "cacheReadInputTokens": 40,
        "cacheWriteInputTokens": 0}


@pytest.mark.parametrize(("ttl", "kind"), [(None, "ephemeral_5m_input_tokens"), ("1h", "ephemeral_1h_input_tokens")])
def test_the_emulators_messages_tell_for_how_long_it_wrote(ttl: str | None, kind: str) -> None:
    mark: dict[str, Any] = {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": mark}]}]}
    told = MessagesDialect(Ask(["x"]), body, 1)._usage(Usage(100, 7, 40), 7)
    assert {name: count for name, count in told["cache_creation"].items() if count} == {kind: 60}
