"""`transformers serve` laid beside what fmload measures of it: `python -m tests.transformers_check --transformers
VENV/bin/transformers`.

Saves a small Llama with random weights, serves it, runs each scenario by `fmload run`, and then asks the same prompts
again by OpenAI's own SDK: the model is greedy, so that both have to be told the same. Too heavy for `make test`: it
needs torch, and a start takes a minute.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai

from fmload.model.prompt import Prompt
from fmload.model.record import Record
from fmload.prompts import store
from tests.load_rig import Run, finished, free_port
from tests.real_servers import audited, counted, kept, options, own_folder, serving
from tests.vllm_check import write_model

TOKENS, REQUESTS = 40, 8
_RUN_LIMIT_S = 400.0
_SAVE = """
import sys
from transformers import AutoConfig, AutoModelForCausalLM, set_seed
set_seed(1)
AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1])).save_pretrained(sys.argv[1])
"""


@dataclass(frozen=True)
class Scenario:
    """One run of `REQUESTS` requests."""

    name: str
    protocol: str
    streamed: bool = True
    users: int = 1


SCENARIOS = (
    Scenario("chat", "openai"),
    Scenario("chat whole", "openai", streamed=False),
    Scenario("chat of 4 users", "openai", users=4),
    Scenario("responses", "responses"),
    Scenario("responses whole", "responses", streamed=False),
    Scenario("responses of 4 users", "responses", users=4),
)


@dataclass(frozen=True)
class Told:
    """What was told of one answer. `pieces`: events that carry text; 1 of an answer in one piece."""

    input_tokens: int | None
    output_tokens: int | None
    pieces: int


@contextmanager
def server(transformers: Path, folder: Path) -> Iterator[str]:
    """The address of a server of the model in `folder` while it runs."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(transformers), "serve", str(folder), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, url, folder / "server.log", {"HF_HUB_OFFLINE": "1"}):
        yield url


def measured(scenario: Scenario, url: str, model: str, folder: Path) -> Run:
    """The finished run of a scenario."""
    return finished(folder, _RUN_LIMIT_S, {
        "name": "transformers",
        "endpoints": [{"name": "transformers", "protocol": scenario.protocol, "url": f"{url}/v1", "model": model,
                       "stream": scenario.streamed}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 30, "count": 50, "output_tokens": TOKENS}],
        "load": {"concurrency": [scenario.users], "requests": {"exactly": REQUESTS}, "workers": 1, "trial": False,
                 "drain": "120s"}})


def told_here(record: Record) -> Told:
    """What fmload read of it."""
    return Told(record.input_tokens, record.output_tokens, len(record.chunk_ns))


def told_there(client: openai.OpenAI, scenario: Scenario, model: str, prompt: Prompt) -> Told:
    """What the server tells OpenAI's SDK of the same prompt."""
    ask = _chat if scenario.protocol == "openai" else _response
    return ask(client, scenario.streamed, model, str(prompt.text))


def _chat(client: openai.OpenAI, streamed: bool, model: str, text: str) -> Told:
    messages: Any = [{"role": "user", "content": text}]
    answer: Any = client.chat.completions.create(model=model, messages=messages, max_tokens=TOKENS, stream=streamed)
    chunks = list(answer) if streamed else [answer]
    pieces = sum(bool(choice.delta.content) for one in chunks for choice in one.choices) if streamed else 1
    usage = chunks[-1].usage
    return Told(usage.prompt_tokens, usage.completion_tokens, pieces)


def _response(client: openai.OpenAI, streamed: bool, model: str, text: str) -> Told:
    answer: Any = client.responses.create(model=model, input=text, max_output_tokens=TOKENS, stream=streamed)
    events = list(answer) if streamed else []
    pieces = sum(one.type == "response.output_text.delta" and bool(one.delta) for one in events) if streamed else 1
    usage = (events[-1].response if streamed else answer).usage
    return Told(usage.input_tokens, usage.output_tokens, pieces)


def row(scenario: Scenario, run: Run, client: openai.OpenAI, model: str) -> str:
    """One line of the table: ours, and what the SDK was told."""
    prompts = {prompt.id: prompt for prompt in store.read(run.results.prompts / "p.jsonl")}
    records = run.records()
    pairs = [(told_here(record), told_there(client, scenario, model, prompts[record.prompt_id])) for record in records]
    sums = (f"{sum(getattr(here, name) or 0 for here, _ in pairs):,} / "
            f"{sum(getattr(there, name) or 0 for _, there in pairs):,}"
            for name in ("input_tokens", "output_tokens", "pieces"))
    cells = [scenario.name, counted(Counter(record.outcome for record in records)),
             counted(Counter(str(record.finish_reason) for record in records)), *sums,
             f"{sum(here == there for here, there in pairs)} of {len(pairs)}", audited(run)]
    return f"| {' | '.join(cells)} |"


HEAD = ("| scenario | requests here | ended | tokens in | tokens out | pieces | all three equal | audit |\n"
        "|---|---|---|---|---|---|---|---|")


def main(argv: Sequence[str] | None = None) -> int:
    """Run every scenario, or those that are named, and print the table."""
    args = options("tests.transformers_check", __doc__, "transformers", argv)
    print(HEAD, flush=True)
    with kept(args.keep) as root:
        (model := root / "model").mkdir()
        write_model(model)
        subprocess.run([args.server.with_name("python"), "-c", _SAVE, str(model)], check=True)
        with server(args.server, model) as url:
            client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
            for scenario in (one for one in SCENARIOS if not args.only or one.name in args.only):
                run = measured(scenario, url, str(model), own_folder(root, scenario.name))
                print(row(scenario, run, client, str(model)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
