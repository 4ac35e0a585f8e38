"""Recorded sessions in the forms that people have: told by their content, replayed as the graphs that they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload.config.loading import parse
from fmload.model.prompt import Prompt
from fmload.model.step import Step, steps_of
from fmload.plugins import SOURCES
from fmload.prompts import store
from fmload.prompts.preparation import prepare, source_of
from fmload.prompts.tokenizer import Tokenizer
from fmload.prompts.traced import TracedStep, waits

BUNDLED = Tokenizer.load("bundled")


def run_of(path: Path, load: str = "{concurrency: [2], window: 5s}", **options: Any) -> Any:
    keys = json.dumps({"name": "job", "source": "agent_trace", "files": [str(path)], **options})
    return parse("name: t\nendpoints: [{name: a, protocol: openai, url: 'http://127.0.0.1:9/v1'}]\n"
                 f"prompts: [{keys}]\nload: {load}\n", "run.yml", Path())


def sessions(path: Path, **options: Any) -> list[Prompt]:
    run = run_of(path, **options)
    source = source_of(run, run.prompts[0])
    return [prompt for item in source.items("7/job") for prompt in source.make(item, BUNDLED, "")]


def by_id(prompt: Prompt) -> dict[str, Step]:
    return {step.id: step for step in steps_of(prompt)}


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# -- whom a step waited for -----------------------------------------------------------------------------------------


def step(name: str, begin: float, end: float, *around: tuple[str, float, float], kind: Any = "request") -> TracedStep:
    return TracedStep(name, kind, begin, end, around=(*around, (name, begin, end)))


def test_a_step_waited_for_what_had_ended_and_not_for_what_that_had_waited_for() -> None:
    found = waits([step("a", 0, 1), step("b", 1, 3), step("c", 1.5, 2), step("d", 3.5, 4)])
    assert {name: sorted(after) for name, after in found.items()} == {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_steps_of_branches_side_by_side_do_not_wait_for_each_other() -> None:
    left, right = ("left", 1.0, 5.0), ("right", 1.1, 6.0)
    found = waits([step("a", 0, 1), step("l1", 1, 2, left), step("r1", 2.5, 3, right), step("l2", 4, 5, left),
                   step("end", 6.5, 7)])
    assert found["l2"] == ["l1"] and found["r1"] == ["a"] and sorted(found["end"]) == ["l2", "r1"]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=9))
def test_whom_steps_wait_for_never_goes_round_and_is_never_later(drawn: list[tuple[int, int]]) -> None:
    steps = [step(str(number), begin, begin + length) for number, (begin, length) in enumerate(drawn)]
    found, by_name = waits(steps), {one.id: one for one in steps}
    for name, after in found.items():
        assert all(by_name[one].end_s <= by_name[name].begin_s for one in after)
        before = {one.id for one in steps if one.end_s <= by_name[name].begin_s and one.end_s < by_name[name].end_s}
        reached, left = set[str](), list(after)
        while left:
            one = left.pop()
            reached.add(one)
            left += found[one]
        assert reached >= before and name not in reached


# -- OpenTelemetry --------------------------------------------------------------------------------------------------


def span(name: str, operation: str, begin: float, end: float, parent: str = "", failed: bool = False,
         **says: Any) -> dict[str, Any]:
    told = {"gen_ai.operation.name": operation, **{f"gen_ai.{key}".replace("__", "."): value
                                                   for key, value in says.items()}}
    attributes = [{"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else
                   {"stringValue": value if isinstance(value, str) else json.dumps(value)}}
                  for key, value in told.items()]
    return {"traceId": "t1", "spanId": name, "parentSpanId": parent, "name": f"{operation} {name}",
            "startTimeUnixNano": str(int(begin * 1e9)), "endTimeUnixNano": str(int(end * 1e9)),
            "attributes": attributes, "status": {"code": 2} if failed else {}}


def export(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def counted(n_in: int, n_out: int) -> dict[str, int]:
    return {"usage__input_tokens": n_in, "usage__output_tokens": n_out}


AGENT = (
    span("root", "invoke_agent", 100.0, 110.0, agent__name="analyst"),
    span("plan", "chat", 100.0, 101.0, "root", **counted(300, 20)),
    span("lost", "chat", 101.0, 101.5, "root", failed=True),
    span("search", "execute_tool", 102.0, 104.0, "root", tool__name="search"),
    span("sub", "invoke_agent", 102.1, 106.0, "root", agent__name="reader"),
    span("read", "chat", 102.1, 103.0, "sub", **counted(80, 10)),
    span("read-2", "chat", 105.0, 106.0, "sub", **counted(120, 10)),
    span("write", "chat", 106.5, 109.0, "root", **counted(400, 100)),
    span("inner", "chat", 106.6, 108.9, "write", **counted(400, 100)))


@pytest.mark.parametrize("by_line", [False, True])
def test_spans_of_opentelemetry_are_the_graph_that_they_were(by_line: bool, tmp_path: Path) -> None:
    """The innermost span of a request counts; one that failed, and what lies between, is the client's own time."""
    path = tmp_path / ("spans.jsonl" if by_line else "spans.json")
    lines(path, *(export(one) for one in AGENT)) if by_line else path.write_text(json.dumps(export(*AGENT), indent=1))
    prompt, = sessions(path)
    steps = by_id(prompt)
    assert {name: sorted(one.after) for name, one in steps.items()} == {
        "plan": [], "search": ["plan"], "read": ["plan"], "read-2": ["read"], "inner": ["read-2", "search"]}
    assert (steps["search"].kind, steps["search"].name, steps["search"].seconds) == ("tool", "search", 2.0)
    assert [steps[name].delay_s for name in ("plan", "search", "read-2", "inner")] == pytest.approx([0, 1, 2, 0.6])
    assert [(steps[name].agent, steps[name].chat) for name in ("plan", "read", "read-2", "inner")] == [
        ("analyst", None), ("reader", None), ("reader", "read"), ("analyst", "plan")]
    assert [steps[name].output_tokens for name in ("plan", "read", "inner")] == [20, 10, 100]
    assert BUNDLED.count(steps["read-2"].messages[0]["content"]) == 120 - 80 - 10
    assert steps["plan"].input_tokens == 300 and prompt.served


def test_what_was_said_in_spans_goes_on_from_the_chat_that_it_begins_with_tool_calls_included(tmp_path: Path) -> None:
    asked = text("user", "What does it cost?")
    called = {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "search",
                                              "arguments": {"q": "cost"}}], "finish_reason": "tool_call"}
    result = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "90 EUR"}]}
    path = tmp_path / "spans.json"
    path.write_text(json.dumps(export(
        span("a", "chat", 0.0, 1.0, input__messages=[asked], output__messages=[called],
             system_instructions=[{"type": "text", "content": "Be brief."}]),
        span("b", "chat", 2.0, 3.0, input__messages=[asked, called, result],
             output__messages=[text("assistant", "90.")],
             system_instructions=[{"type": "text", "content": "Be brief."}]))))
    steps = by_id(sessions(path, answers="recorded")[0])
    assert steps["a"].messages == [{"role": "system", "content": "Be brief."},
                                   {"role": "user", "content": "What does it cost?"}]
    assert isinstance(steps["a"].answer, dict) and steps["a"].answer["tool_calls"][0]["function"] == {
        "name": "search", "arguments": '{"q":"cost"}'}
    assert steps["b"].chat == "a" and steps["b"].messages == [
        {"role": "tool", "tool_call_id": "c1", "name": "search", "content": "90 EUR"}]


def test_traces_of_one_conversation_are_one_session(tmp_path: Path) -> None:
    one = span("a", "chat", 0.0, 1.0, conversation__id="c", **counted(50, 5))
    two = {**span("b", "chat", 5.0, 6.0, conversation__id="c", **counted(90, 5)), "traceId": "t2"}
    path = tmp_path / "spans.json"
    path.write_text(json.dumps(export(one, two)))
    prompt, = sessions(path)
    assert [(step.id, step.after, step.delay_s) for step in steps_of(prompt)] == [("a", [], 0.0), ("b", ["a"], 4.0)]


# -- Mooncake, ShareGPT, an agent's own log -------------------------------------------------------------------------


def test_mooncakes_requests_go_on_from_the_one_whose_blocks_they_begin_with(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "mooncake.jsonl",
        {"timestamp": 0, "input_length": 40, "output_length": 10, "hash_ids": [1, 2, 3]},
        {"timestamp": 1000, "input_length": 40, "output_length": 10, "hash_ids": [1, 7, 8]},
        {"timestamp": 6000, "input_length": 70, "output_length": 12, "hash_ids": [1, 2, 4, 5, 6]},
        {"timestamp": 9000, "input_length": 90, "output_length": 12, "hash_ids": [1, 2, 4, 5, 9, 10]})
    one, two = sessions(path, block_tokens=16)
    assert [(step.id, step.after, step.delay_s, step.output_tokens) for step in steps_of(one)] == [
        ("turn-1", [], 0.0, 10), ("turn-2", ["turn-1"], 6.0, 12), ("turn-3", ["turn-2"], 3.0, 12)]
    assert [BUNDLED.count(step.messages[0]["content"]) for step in steps_of(one)] == [40, 20, 8]
    assert (len(two.steps), two.offset_s) == (1, 1.0)
    first, second = ((prompt.messages or [])[0]["content"] for prompt in (one, two))
    assert first != second and BUNDLED.count(first[:len(second)]) and first[:20] == second[:20]  # block 1 is shared


def test_sharegpts_turns_go_on_with_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "sharegpt.json"
    path.write_text(json.dumps([{"id": "x", "conversations": [
        {"from": "human", "value": "One?"}, {"from": "gpt", "value": "First."}, {"from": "human", "value": "Two?"}]},
        {"id": "nothing", "conversations": []}]))
    prompt, = sessions(path, answers="recorded")
    one, two = steps_of(prompt)
    assert (one.output_tokens, two.output_tokens) == (BUNDLED.count("First."), None) and not prompt.served
    assert (two.chat, two.messages) == ("turn-1", [{"role": "user", "content": "Two?"}])


LOG = (
    {"session": "s", "step": "plan", "begin": 10.0, "end": 11.0, "input_tokens": 60, "output_tokens": 9},
    {"session": "s", "step": "look", "kind": "tool", "begin": 11.0, "end": 12.5, "name": "search"},
    {"session": "s", "step": "muse", "kind": "think", "begin": 13.0, "end": 14.0, "after": ["look"]},
    {"session": "s", "step": "write", "begin": 14.0, "end": 16.0, "input_tokens": 100, "output_tokens": 20},
    {"session": "later", "step": "hello", "begin": 30.0, "end": 31.0, "messages": [{"role": "user", "content": "Hi"}],
     "answer": "Hello."})


def test_turns_of_a_conversation_that_say_nothing_are_left_out_and_other_models_are_models(tmp_path: Path) -> None:
    turns = [("human", "one"), ("bing", "first"), ("human", None), ("bard", ""), ("human", "two"), ("gpt", "second")]
    path = lines(tmp_path / "talks.jsonl", {"id": "x", "conversations": [
        {"from": who, "value": said} for who, said in turns]})
    prompt, = sessions(path)
    asked = [[message["content"] for message in step.messages] for step in by_id(prompt).values()]
    assert asked == [["one"], ["two"]]


def test_an_agents_own_log_has_a_row_a_step_and_its_delays_can_be_shortened(tmp_path: Path) -> None:
    path = lines(tmp_path / "steps.jsonl", *LOG)
    one, two = sessions(path, delay_factor=0.5)
    steps = by_id(one)
    assert {name: (step.kind, step.after, step.seconds, step.delay_s) for name, step in steps.items()} == {
        "plan": ("request", [], 0.0, 0.0), "look": ("tool", ["plan"], 0.75, 0.0),
        "muse": ("think", ["look"], 0.5, 0.25), "write": ("request", ["muse"], 0.0, 0.0)}
    assert (steps["write"].chat, two.offset_s) == ("plan", 20.0)
    assert by_id(two)["hello"].output_tokens == BUNDLED.count("Hello.")


def test_a_part_of_the_trace_can_be_replayed_at_its_instants(tmp_path: Path) -> None:
    run = run_of(lines(tmp_path / "steps.jsonl", *LOG), "{trace: {start: 5s}, warmup: 0}")
    prompts = store.read(prepare(run, tmp_path)["job"])
    assert [(prompt.id, prompt.offset_s, len(prompt.steps)) for prompt in prompts] == [("job-000000", 15.0, 1)]
    assert SOURCES.load("agent_trace").timed


@pytest.mark.parametrize(("rows", "told"), [
    ([{"prompt": "x"}], "no trace of sessions in a form that is known"),
    ([{**LOG[0], "kind": "ask"}], r"steps\.jsonl:1: kind is 'ask'"),
    ([{**LOG[0], "end": 1.0}], r"steps\.jsonl:1: it ends \(1\) before it begins"),
    ([LOG[0], {**LOG[3], "after": ["nobody"]}], r"jsonl:1: session 's': step 'write' waits for one that never"),
    ([{key: value for key, value in LOG[0].items() if key != "input_tokens"}], "'input_tokens'")])
def test_what_is_no_trace_is_told_with_its_place(rows: list[dict[str, Any]], told: str, tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=told):
        sessions(lines(tmp_path / "steps.jsonl", *rows))


def test_prompts_that_are_too_long_are_cut_to_what_the_model_takes(tmp_path: Path) -> None:
    prompt, _ = sessions(lines(tmp_path / "steps.jsonl", *LOG), max_input_tokens=80, max_output_tokens=5)
    steps = by_id(prompt)
    assert steps["plan"].output_tokens == 5 and BUNDLED.count(steps["write"].messages[0]["content"]) == 80 - 60 - 5


# -- odd rows of an agent's own log -----------------------------------------------------------------------------------

ASKED: dict[str, Any] = {"session": "s", "step": "a", "begin": 0, "end": 1,
                         "messages": [{"role": "user", "content": "q"}]}


@pytest.mark.parametrize(("odd", "told"), [
    ({"messages": "q"}, "messages is 'q'; it must be a list"), ({"messages": ["q"]}, "no chat message"),
    ({"messages": []}, "must be a list of chat messages"), ({"answer": ["x"]}, "answer: .* no chat message"),
    ({"answer": {"role": "assistant", "tool_calls": [{"name": "f"}]}}, "answer: tool_calls must be in OpenAI's form"),
    ({"after": "plan"}, "after is 'plan'; it must be a list"), ({"session": None}, "session is null"),
    ({"begin": "2026-01-01T00:00:00Z"}, "begin is '2026-01-01T00:00:00Z'; it must be a number of seconds"),
    ({"begin": 1764500000000, "end": 1764500000100}, "are these milliseconds"), ({"end": -1}, "before it begins"),
    ({"messages": None, "input_tokens": -5}, "input_tokens: must be a whole number"),
    ({"messages": None, "input_tokens": 10**12}, "input_tokens: must be at most 10,000,000 tokens"),
    ({"messages": None}, "has no 'input_tokens'")])
def test_a_row_that_is_no_step_is_told_with_its_line(tmp_path: Path, odd: dict[str, Any], told: str) -> None:
    path = lines(tmp_path / "log.jsonl", {**ASKED, "step": "first"}, {**ASKED, **odd})
    with pytest.raises(FmloadError, match=rf"log.jsonl:2: .*{told}"):
        sessions(path)


def test_all_odd_rows_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = lines(tmp_path / "log.jsonl", ASKED, {**ASKED, "messages": "q"}, {**ASKED, "after": "x"})
    with pytest.raises(FmloadError, match=r"(?s)log.jsonl:2: .*log.jsonl:3: "):
        sessions(path)


def test_steps_of_one_name_are_refused_for_one_of_them_would_never_run(tmp_path: Path) -> None:
    path = lines(tmp_path / "log.jsonl", ASKED, {**ASKED, "step": "search", "kind": "tool"},
                 {**ASKED, "step": "search", "kind": "tool"})
    with pytest.raises(FmloadError, match="step 'search' is there twice"):
        sessions(path)


def test_nulls_of_a_recorded_answer_are_left_out(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "x", "tool_calls": None}
    later = [*ASKED["messages"], answer, {"role": "user", "content": "go"}]
    path = lines(tmp_path / "log.jsonl", {**ASKED, "answer": answer},
                 {**ASKED, "step": "b", "begin": 2, "end": 3, "messages": later})
    first, second = by_id(sessions(path, answers="recorded")[0]).values()
    assert first.answer == {"role": "assistant", "content": "x"}
    assert (second.chat, second.messages) == ("a", [{"role": "user", "content": "go"}])


def test_a_chat_goes_on_from_no_request_that_lies_beside_it_though_both_were_asked_the_same(tmp_path: Path) -> None:
    said = {"role": "assistant", "content": "ok"}
    path = lines(tmp_path / "log.jsonl", {**ASKED, "step": "beside", "end": 9, "answer": said, "after": []},
                 {**ASKED, "step": "mine", "begin": 0.1, "answer": said, "after": []},
                 {**ASKED, "step": "more", "begin": 2, "end": 3, "after": ["mine"],
                  "messages": [*ASKED["messages"], said, {"role": "user", "content": "more"}]})
    assert by_id(sessions(path)[0])["more"].chat == "mine"


def test_each_conversation_of_one_trace_is_a_session_and_tools_belong_to_what_they_lie_in(tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    path.write_text(json.dumps(export(
        span("batch", "invoke_workflow", 0, 20),
        span("one", "invoke_agent", 0, 5, "batch", conversation__id="c1"),
        span("a", "chat", 0, 1, "one", **counted(9, 2)),
        span("t", "execute_tool", 1, 2, "one"),
        span("two", "chat", 6, 7, "batch", conversation__id="c2", **counted(9, 2)))))
    assert [list(by_id(prompt)) for prompt in sessions(path)] == [["a", "t"], ["two"]]


def test_a_span_that_was_exported_twice_is_one_step(tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    path.write_text(json.dumps(export(*AGENT, *AGENT)))
    once = tmp_path / "once.json"
    once.write_text(json.dumps(export(*AGENT)))
    assert list(by_id(sessions(path)[0])) == list(by_id(sessions(once)[0]))


def test_a_span_of_more_tokens_than_any_prompt_has_is_told_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    path.write_text(json.dumps(export(span("plan", "chat", 100.0, 101.0, **counted(10**12, 20)))))
    with pytest.raises(FmloadError, match=r"span plan .*: more than 10,000,000 tokens"):
        sessions(path)


def test_an_instant_of_a_span_that_is_none_is_told_with_the_span(tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    path.write_text(json.dumps(export({**span("plan", "chat", 100.0, 101.0, **counted(5, 2)),
                                       "endTimeUnixNano": None})))
    with pytest.raises(FmloadError, match=r"spans.json.*span plan: endTimeUnixNano is None; it must be a number"):
        sessions(path)
