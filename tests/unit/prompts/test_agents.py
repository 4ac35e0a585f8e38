"""Agents in the run file: what their steps make of a session, all of it drawn before the load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config.loading import parse
from fmload.model.prompt import Prompt
from fmload.model.step import SERVED, Step, session_of, steps_of
from fmload.prompts import store
from fmload.prompts.agents import Agents
from fmload.prompts.preparation import prepare
from fmload.prompts.tokenizer import Tokenizer

BUNDLED = Tokenizer.load("bundled")
ENDPOINT = """endpoints: [{name: a, protocol: openai, url: 'http://127.0.0.1:9/v1'}]
load: {concurrency: [2], window: 5s}
"""
AGENT = """
    tools: {search: 300ms, calc: {takes: {mean: 100ms, stddev: 20ms}, fails: 0.5, retries: 2, retry_after: 1s}}
    steps:
      - {ask: plan, input_tokens: 20, output_tokens: {min: 5, max: 9}}
      - parallel: [{tool: search}, [{agent: reader, steps: [{ask: read, input_tokens: 9, output_tokens: 8}]}]]
      - {ask: write, output_tokens: 20}
"""


def run_file(agent: str = AGENT, more: str = "") -> Any:
    return parse(f"name: t\n{ENDPOINT}prompts:\n  - name: job\n    source: agents\n{more}{agent}", "run.yml", Path())


def sessions(agent: str = AGENT, more: str = "", seed: str = "7/job", count: int = 1) -> list[Prompt]:
    source = Agents.from_spec(run_file(agent, more).prompts[0])
    return [source.make((seed, index), BUNDLED, "")[0] for index in range(count)]


def by_id(prompt: Prompt) -> dict[str, Step]:
    return {step.id: step for step in steps_of(prompt)}


def test_a_list_is_a_sequence_and_parallel_branches_wait_for_the_same_and_are_waited_for_all() -> None:
    steps = by_id(sessions()[0])
    assert {name: step.after for name, step in steps.items()} == {
        "plan": [], "search": ["plan"], "read": ["plan"], "write": ["search", "read"]}
    assert {name: step.kind for name, step in steps.items()}["search"] == "tool" and steps["search"].seconds == 0.3
    assert [steps[name].turn for name in ("plan", "read", "write")] == [0, 1, 2]


def test_a_sub_agent_has_a_chat_of_its_own_and_its_answer_comes_back_in_the_order_of_the_branches() -> None:
    steps = by_id(sessions()[0])
    assert (steps["read"].chat, steps["read"].agent, steps["write"].chat) == (None, "reader", "plan")
    tool, answer = steps["write"].messages
    assert (tool["role"], tool["name"]) == ("tool", "search") and answer[SERVED] == "read"


def test_a_branch_that_asks_in_no_agent_of_its_own_forks_the_chat() -> None:
    steps = by_id(sessions("""
    steps:
      - {ask: draft, input_tokens: 9}
      - parallel: [{ask: praise, text: Praise it.}, {ask: blame, text: Blame it.}]
      - {ask: mend, text: Mend it.}
""")[0])
    assert [steps[name].chat for name in ("praise", "blame", "mend")] == ["draft"] * 3
    assert [message.get(SERVED) for message in steps["mend"].messages] == ["praise", "blame", None]


def test_the_prompt_of_a_session_is_its_first_request_and_is_counted() -> None:
    prompt = sessions()[0]
    assert prompt.messages == by_id(prompt)["plan"].messages and prompt.served
    assert prompt.input_tokens == BUNDLED.chat_count(prompt.messages or [])
    assert 5 <= (prompt.output_tokens or 0) <= 9


def test_equal_seeds_draw_equal_sessions_and_each_session_is_another() -> None:
    first, second = sessions(count=2), sessions(count=2)
    assert first == second and first[0].steps != first[1].steps
    assert sessions(seed="8/job")[0] != first[0]


def test_a_length_that_is_changed_changes_no_other_step() -> None:
    before, after = sessions()[0], sessions(AGENT.replace("write, output_tokens: 20", "write, output_tokens: 21"))[0]
    assert [one for one in before.steps if one["id"] != "write"] == [one for one in after.steps if one["id"] != "write"]


def test_the_system_message_is_shared_by_all_sessions_and_texts_are_not() -> None:
    one, two = sessions(more="    system_tokens: 15\n", count=2)
    assert (one.messages or [])[0] == (two.messages or [])[0] and (one.messages or [])[0]["role"] == "system"
    assert (one.messages or [])[1] != (two.messages or [])[1]


def test_failed_calls_of_a_tool_and_the_pauses_between_them_are_in_its_time() -> None:
    agent = """
    tools: {t: {takes: 100ms, fails: 0.5, retries: 2, retry_after: 1s}}
    steps: [{tool: t}, {ask: a}]
"""
    drawn = {round(by_id(prompt)["t"].seconds, 6) for prompt in sessions(agent, count=60)}
    assert drawn == {0.1, 1.2, 3.3}  # one call; two with a pause of 1 s; three with 1 s and 2 s
    lost = [prompt for prompt in sessions(agent, count=60) if "no result" in (prompt.messages or [])[0]["content"]]
    assert lost and all(by_id(prompt)["t"].seconds == pytest.approx(3.3) for prompt in lost)


def test_repeats_are_drawn_and_every_turn_of_them_is_a_step_of_its_own() -> None:
    agent = "    steps: [{ask: a}, {repeat: {min: 1, max: 3}, steps: [{think: 1s}, {ask: more, text: Go on.}]}]\n"
    lengths = {len(prompt.steps) for prompt in sessions(agent, count=40)}
    assert lengths == {3, 5, 7}
    longest = next(prompt for prompt in sessions(agent, count=40) if len(prompt.steps) == 7)
    assert [step.id for step in steps_of(longest)] == [
        "a", "think", "more", "think-2", "more-2", "think-3", "more-3"]


@pytest.mark.parametrize(("calls", "choices"), [
    ("simulated", [None, None, None]),
    ("forced", [{"type": "function", "function": {"name": "search"}}, None, "none"]), ("free", [None, None, None])])
def test_tools_are_offered_and_forced_as_the_run_file_says(calls: str, choices: list[Any]) -> None:
    steps = by_id(sessions(more=f"    tool_calls: {calls}\n")[0])
    asked = [steps[name].parameters for name in ("plan", "read", "write")]
    assert [parameters.get("tool_choice") for parameters in asked] == choices
    assert ["tools" in parameters for parameters in asked] == [calls != "simulated", False, calls != "simulated"]


def test_made_up_answers_are_as_long_as_what_is_asked_for() -> None:
    prompt = sessions(more="    answers: made_up\n")[0]
    assert not prompt.served
    assert all(BUNDLED.count(step.answer or "") == step.output_tokens for step in by_id(prompt).values()
               if step.kind == "request")


def test_a_prepared_set_holds_a_line_a_session_though_all_begin_with_the_same_question(tmp_path: Path) -> None:
    run = run_file("    count: 5\n    steps: [{ask: a, text: Hello., output_tokens: 5}]\n")
    prompts = store.read(prepare(run, tmp_path)["job"])
    assert [prompt.id for prompt in prompts] == [f"job-00000{n}" for n in range(5)]
    assert {len(prompt.steps) for prompt in prompts} == {1}


def test_the_id_of_a_step_tells_its_session() -> None:
    assert session_of("job-000003:write-2") == session_of("job-000003") == "job-000003"


@pytest.mark.parametrize(("agent", "told"), [
    ("    steps: [{ask: a, takes: 1s}]\n", "does not go with ask"),
    ("    steps: [{ask: a, tool: b}]\n", "here: ask and tool"),
    ("    tools: {search: 1s}\n    steps: [{ask: a}, {tool: serch}]\n", "did you mean 'search'?"),
    ("    steps: [{think: 1s}]\n", "hold no request"),
    ("    steps: [{ask: a, text: b, input_tokens: 3}]\n", "either text or input_tokens"),
    ("    steps: [{ask: a}, {agent: b}]\n", "is missing: what the agent does"),
    ("    tools: {search: {takes: {mean: 5}}}\n    steps: [{ask: a}]\n", "has no unit"),
    ("    tool_calls: free\n", "give the agent's steps, or a file")])
def test_what_is_wrong_with_an_agent_is_told_with_its_line(agent: str, told: str) -> None:
    with pytest.raises(FmloadError, match=told.replace("?", r"\?")) as raised:
        run_file(agent)
    assert "run.yml:" in str(raised.value)


def test_an_agent_may_stand_in_a_file_of_its_own_and_its_mistakes_are_told_there(tmp_path: Path) -> None:
    path = tmp_path / "agent.yml"
    path.write_text("tools: {search: 300ms}\nsteps: [{ask: plan, input_tokens: 9}, {tool: search}, {ask: write}]\n")
    assert [step.id for step in steps_of(sessions(f"    file: {path}\n")[0])] == ["plan", "search", "write"]
    path.write_text("steps:\n- {ask: plan}\n- {tol: search}\n")
    with pytest.raises(FmloadError, match=r"agent\.yml:3: steps\[1\]\.tol"):
        sessions(f"    file: {path}\n")


def test_exactly_so_many_requests_do_not_go_with_sessions() -> None:
    text = f"name: t\n{ENDPOINT}prompts:\n  - name: job\n    source: agents\n{AGENT}"
    with pytest.raises(FmloadError, match="do not go with sessions"):
        parse(text.replace("window: 5s", "requests: {exactly: 5}"), "run.yml", Path())


@pytest.mark.parametrize(("source", "told"), [("agents", False), ("synthetic", True)])
def test_a_search_by_durations_of_sessions_needs_a_set_that_has_some(source: str, told: bool) -> None:
    agent = AGENT if source == "agents" else "    input_tokens: 9\n"
    text = f"name: t\n{ENDPOINT}prompts:\n  - name: job\n    source: {source}\n{agent}"
    text = text.replace("concurrency: [2]", "find: {objective: {session_duration_p95: 2s}}")
    if not told:
        assert parse(text, "run.yml", Path()).load.find is not None
        return
    with pytest.raises(FmloadError, match="source 'synthetic' has no sessions"):
        parse(text, "run.yml", Path())


def test_steps_whose_names_run_into_each_other_each_have_an_id_of_their_own() -> None:
    asks = ", ".join(f"{{ask: {name}, output_tokens: 2}}" for name in ("check", "check", "check-2", "check"))
    steps = steps_of(sessions(f"    steps: [{asks}]\n")[0])
    assert [step.id for step in steps] == ["check", "check-2", "check-2-2", "check-3"]
    assert [step.after for step in steps] == [[], ["check"], ["check-2"], ["check-2-2"]]


@pytest.mark.parametrize(("repeat", "steps"), [
    ("{repeat: 1000, steps: [{repeat: 1000, steps: [{think: 1s}]}]}", "1,000,001"),
    ("{repeat: {min: 1, max: 300}, steps: [{repeat: {mean: 100}, steps: [{parallel: [{think: 1s}]}]}]}", "30,001"),
    ("{repeat: 4000, steps: [{agent: a, steps: [{ask: y}, {ask: z}, {think: 0}, {ask: v}, {ask: w}, {ask: u}]}]}",
     "24,001")])
def test_a_session_of_too_many_steps_is_refused_when_the_file_is_read_with_the_key_that_makes_them(
        repeat: str, steps: str) -> None:
    with pytest.raises(FmloadError) as told:
        run_file(f"    steps:\n      - {{ask: x, output_tokens: 2}}\n      - {repeat}\n")
    assert f"run.yml:9: prompts[0].steps[1].repeat: a session would hold {steps} steps; 20,000" in str(told.value)


def test_steps_that_are_too_many_only_together_are_told_of_their_list() -> None:
    half = "{repeat: 11000, steps: [{think: 1s}]}"
    with pytest.raises(FmloadError, match=r"steps\[0\].steps: a session would hold 22,001 steps"):
        run_file(f"    steps: [{{agent: a, steps: [{half}, {half}]}}, {{ask: x}}]\n")
    run_file("    steps: [{ask: x}, {repeat: 1000, steps: [{repeat: {mean: 19}, steps: [{think: 1s}]}]}]\n")


def test_a_session_that_was_drawn_longer_than_the_limit_is_refused_and_fills_no_memory() -> None:
    drawn = "{mean: 140, stddev: 100, kind: lognormal}"
    with pytest.raises(FmloadError, match="more than 20,000 steps"):
        sessions(f"    steps: [{{ask: x, output_tokens: 2}}, {{repeat: {drawn}, steps: [{{repeat: {drawn}, steps: "
                 "[{think: 1s}]}]}]\n", count=20)


def test_the_pause_of_a_tool_that_fails_for_ever_stops_growing() -> None:
    steps = by_id(sessions("    tools: {t: {takes: 0, fails: 0.9999999, retries: 1000, retry_after: 1s}}\n"
                           "    steps: [{ask: x, output_tokens: 2}, {tool: t}]\n")[0])
    assert steps["t"].seconds < 1000 * 2**16
