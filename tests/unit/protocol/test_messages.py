"""What master and workers say to each other: typed, listed once, versioned."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgpack
import pytest

from fmload import __version__
from fmload.protocol.messages import (
    OF_THE_MASTER,
    OF_WORKERS,
    PROTOCOL_VERSION,
    Event,
    Hello,
    LaneShare,
    Message,
    Plan,
    Records,
    decode,
    encode,
    hello,
    kind_of,
    other_version,
)

EXAMPLES: dict[str, Any] = {
    "str": "x", "int": 3, "bool": True, "bytes": b"\xdc\x00", "str | None": None, "int | None": None,
    "dict[str, Any]": {"a": [1]}, "dict[str, str]": {"e": "why"}, "dict[str, int]": {"a": 1},
    "dict[str, dict[str, str]]": {"e": {"p": "id"}},
    "dict[str, int] | None": {"a": 1}, "list[bytes]": [b"a", b""], "float": 0.5,
    "Made": {0: 4, 7: 1}, "Any": {"ttft": 1.0}}


def example(kind: Any) -> Any:
    return kind(**{one.name: EXAMPLES[str(one.type)] for one in dataclasses.fields(kind)})


EXAMPLES["list[LaneShare]"] = [example(LaneShare)]


@pytest.mark.parametrize("kind", [*OF_WORKERS, *OF_THE_MASTER])
def test_every_message_comes_out_of_the_channel_as_it_went_in(kind: type[Message]) -> None:
    sent = example(kind)
    on_the_way = msgpack.loads(msgpack.dumps(encode(sent)), strict_map_key=False)
    assert decode(kind, on_the_way) == sent
    assert decode(kind, {**on_the_way, "of a later version": 1}) == sent


def test_every_message_has_a_name_of_its_own() -> None:
    names = [kind_of(kind) for kind in (*OF_WORKERS, *OF_THE_MASTER)]
    assert len(set(names)) == len(names) and all(name.startswith("fmload_") for name in names)


@pytest.mark.parametrize(("kind", "data", "where"), [
    (Records, None, "run_id"), (Records, {"run_id": "r", "first": "x", "records": []}, "first"),
    (Event, [], "fmload_event"), (Records, {"run_id": "r", "first": 0, "records": [1]}, "records.0"),
    (Hello, 193, "its data")])
def test_data_that_are_no_message_are_refused_with_their_place(kind: type[Message], data: Any, where: str) -> None:
    with pytest.raises(ValueError, match=where):
        decode(kind, data)


def test_a_greeting_names_the_versions() -> None:
    greeting = hello()
    assert (greeting.protocol, greeting.fmload) == (PROTOCOL_VERSION, __version__)


def test_a_greeting_without_a_version_is_of_the_first_one() -> None:
    told = other_version("worker", decode(Hello, {}).protocol, decode(Hello, {}).fmload)
    assert told is not None and "fmload 0.1 (protocol 1)" in told and f"fmload {__version__}" in told
    assert other_version("worker", PROTOCOL_VERSION, "9.9") is None


def test_a_plan_of_the_first_version_can_be_read_so_that_it_can_be_refused() -> None:
    old = {"run": {}, "run_id": "r", "index": 0, "trial": True, "answers": None, "prompts": {}, "begins": {},
           "journal": "j", "host": "h", "boot_id": "b", "limits": {}}
    plan = decode(Plan, old)
    assert other_version("master", plan.protocol, plan.fmload) is not None
