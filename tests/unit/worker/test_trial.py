"""The small request before the load: it asks as the load does, and what it meets is told with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.config import dump
from fmload.config.control import TrialSpec
from fmload.config.loading import parse
from fmload.endpoints.remedies import remedy
from fmload.model.prompt import Prompt
from fmload.worker.dispatcher import trial_prompt

RUN = """
name: t
endpoints: [{name: a, protocol: openai, url: "http://127.0.0.1:1/v1", model: m}]
prompts: [{name: p, source: synthetic, input_tokens: 5, output_tokens: 5}]
load: {concurrency: [1], trial: TRIAL}
"""


def test_the_trial_asks_for_as_many_tokens_as_the_load_with_its_parameters() -> None:
    sample = Prompt("p", "s", text="long", output_tokens=20, exact_output=True, parameters={"seed": 1})
    prompt, alike = trial_prompt(TrialSpec(), sample)
    assert (prompt.text, prompt.output_tokens, prompt.exact_output) == ("Hello", 20, True)
    assert prompt.parameters == {"seed": 1}
    assert alike


@pytest.mark.parametrize(("asked", "sample", "tokens"), [
    (TrialSpec(), Prompt("p", "s", text="x", output_tokens=500), 64),
    (TrialSpec(output_tokens=16), Prompt("p", "s", text="x", output_tokens=5), 16),
    (TrialSpec(), Prompt("p", "s", messages=[{"role": "user", "content": "x"}], output_tokens=5), 5)])
def test_a_trial_of_another_form_is_known_as_one(asked: TrialSpec, sample: Prompt, tokens: int) -> None:
    prompt, alike = trial_prompt(asked, sample)
    assert prompt.output_tokens == tokens
    assert not alike


@pytest.mark.parametrize(("written", "meant"), [
    ("true", TrialSpec()), ("false", False), ("{text: Hi, output_tokens: 16}", TrialSpec(text="Hi", output_tokens=16))])
def test_the_trial_can_be_shaped_and_switched_off(written: str, meant: TrialSpec | bool, tmp_path: Path) -> None:
    run = parse(RUN.replace("TRIAL", written), "t.yml", tmp_path)
    assert run.load.trial == meant
    assert parse(dump(run), "t.yml", tmp_path).load.trial == meant


@pytest.mark.parametrize(("status", "message", "told"), [
    (401, "invalid api key", "api_key_env"), (404, "Not Found", "url"), (404, "model 'x' not found", "fmload init"),
    (400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead", "max_tokens_field"),
    (400, "max_tokens must be at least 16", "output_tokens"), (422, "stream_options: extra fields", "include_usage"),
    (400, "This model's maximum context length is 4096 tokens", "shorter prompts")])
def test_a_refusal_is_told_with_its_remedy(status: int, message: str, told: str) -> None:
    assert told in (remedy(status, message) or "")


def test_what_has_no_remedy_gets_none() -> None:
    assert remedy(500, "internal error") is None
