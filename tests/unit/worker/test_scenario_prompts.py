"""Prompts that users of a locustfile write: each is judged when it is sent, and that which stands for them never."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.config import parse
from fmload.model.prompt import Prompt
from fmload.worker.dispatcher import Dispatcher
from fmload.worker.slots import Lane

RUN = """
name: t
endpoints:
  - {name: chat, protocol: openai, url: 'http://127.0.0.1:1/v1'}
  - {name: ranks, protocol: rerank, url: 'http://127.0.0.1:1/v1', model: m}
  - {name: embeds, protocol: embeddings, api: cohere, url: 'http://127.0.0.1:1/v2', model: m}
prompts: [{name: talk, source: scenario}]
load: {concurrency: [1], side_by_side: true}
"""


def dispatcher(folder: Path) -> Dispatcher:
    stands_for_all = Prompt("", "talk", messages=[{"role": "user", "content": "Say hello."}])
    return Dispatcher(parse(RUN, "run.yml", folder), {"talk": [stands_for_all]}, "w", lambda *_: None, lambda *_: None)


def test_what_stands_for_the_prompts_of_a_scenario_is_not_judged_by_an_endpoint_that_ranks(tmp_path: Path) -> None:
    dispatcher(tmp_path).check_prompts()


@pytest.mark.parametrize(("endpoint", "prompt", "words"), [
    ("embeds", Prompt("p", "", inputs=["a"] * 97), "97 inputs in a request; it takes 96 at most"),
    ("ranks", Prompt("p", "", inputs=["a"]), "a ranking needs a query"),
    ("chat", Prompt("p", "", inputs=["a"]), "the endpoint generates text")])
def test_a_prompt_that_its_endpoint_cannot_be_asked_is_told_when_it_is_sent(
        endpoint: str, prompt: Prompt, words: str, tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=f"prompt set 'talk', endpoint '{endpoint}': .*{words}"):
        dispatcher(tmp_path).start(Lane(0, endpoint, "talk", 1), prompt, {})
