"""infinity-emb's server laid beside what fmload reads of it: `python -m tests.infinity_check --infinity
VENV/bin/infinity_emb`.

Saves a small BERT that embeds and one that ranks, both with random weights, serves them, runs each scenario by
`fmload run`, and then asks every prompt again twice, by our reader and plainly: counts, vectors and order of the ranks
have to be the same. Too heavy for `make test`: the environment needs torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmload.endpoints.inputs_answer import numbers_of
from fmload.model.prompt import Prompt
from fmload.prompts import store
from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from tests.load_rig import Run, finished, free_port
from tests.real_servers import audited, counted, kept, options, own_folder, serving
from tests.spoken import spoken

REQUESTS, WIDTH = 8, 64
_RUN_LIMIT_S = 400.0
_SAVE = f"""
import sys, string
from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast, set_seed
letters = string.ascii_lowercase + string.digits
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *".,?!-'", *("##" + one for one in letters)]
config = BertConfig(vocab_size=len(words), hidden_size={WIDTH}, num_hidden_layers=2, num_attention_heads=4,
                    intermediate_size=128, num_labels=1)
for name, kind in (("embeds", BertModel), ("ranks", BertForSequenceClassification)):
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    (folder / "vocab.txt").write_text("\\n".join(words) + "\\n")
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)
    set_seed(1)
    kind(config).eval().save_pretrained(folder)
"""


@dataclass(frozen=True)
class Scenario:
    """One run of `REQUESTS` requests of `batch` inputs each."""

    name: str
    batch: int
    protocol: str = "embeddings"
    users: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return "embeds" if self.protocol == "embeddings" else "ranks"

    @property
    def path(self) -> str:
        return f"/{self.protocol}"


SCENARIOS = (
    Scenario("embeddings", batch=1),
    Scenario("embeddings of 16", batch=16, users=4),
    Scenario("embeddings base64", batch=16, parameters={"encoding_format": "base64"}),
    Scenario("rerank", batch=5, protocol="rerank", users=2, prompts={"query_tokens": 8}),
    Scenario("rerank, the best 2", batch=5, protocol="rerank", parameters={"top_n": 2}, prompts={"query_tokens": 8}),
)


@dataclass(frozen=True)
class Told:
    """What was told of one prompt: tokens, and the vectors, or the documents from the best on."""

    tokens: int | None
    answer: list[Any]


@contextmanager
def server(infinity: Path, folder: Path) -> Iterator[str]:
    """The address of a server of both models while it runs; it counts tokens, and not characters."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    models = [word for name in ("embeds", "ranks") for word in ("--model-id", str(folder / name),
                                                                "--served-model-name", name)]
    command = [str(infinity), "v2", *models, "--engine", "torch", "--device", "cpu", "--dtype", "float32",
               "--no-bettertransformer", "--lengths-via-tokenize", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, url, folder / "server.log", {"HF_HUB_OFFLINE": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}):
        yield url


def measured(scenario: Scenario, url: str, folder: Path) -> Run:
    """The finished run of a scenario."""
    dimension = {"dimension": WIDTH} if scenario.protocol == "embeddings" else {}
    return finished(folder, _RUN_LIMIT_S, {
        "name": "infinity",
        "endpoints": [{"name": "infinity", "protocol": scenario.protocol, "url": url + scenario.path,
                       "model": scenario.model, "parameters": dict(scenario.parameters), **dimension}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 30, "count": 20, "batch": scenario.batch,
                     **scenario.prompts}],
        "load": {"concurrency": [scenario.users], "requests": {"exactly": REQUESTS}, "workers": 1, "trial": False}})


def told_here(scenario: Scenario, url: str, prompt: Prompt) -> Told:
    """What fmload's own reader has of it."""
    endpoint = spoken(scenario.protocol, url + scenario.path, model=scenario.model,
                      parameters=dict(scenario.parameters))
    wire = Http1Wire(Timeouts())
    record, reading = measure(endpoint, prompt, wire, endpoint.addresses()[0], request_id="r", worker="w", stage=0,
                              scheduled_ns=0)
    wire.close()
    if record.outcome != "ok" or reading.batch is None:
        return Told(record.input_tokens, [record.error])
    ranks = scenario.protocol == "rerank"
    return Told(record.input_tokens, list(reading.batch.indices) if ranks else numbers_of(reading.body))


def told_there(scenario: Scenario, url: str, prompt: Prompt) -> Told:
    """What the server tells whoever asks it plainly, in numbers and not in base64."""
    asked = ({"query": prompt.text, "documents": prompt.inputs, **scenario.parameters}
             if scenario.protocol == "rerank" else {"input": prompt.texts})
    request = urllib.request.Request(url + scenario.path, json.dumps({"model": scenario.model, **asked}).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    found = [one["index"] for one in told["results"]] if "results" in told else [
        one["embedding"] for one in told["data"]]
    return Told(told["usage"]["prompt_tokens"], found)


def row(scenario: Scenario, run: Run, url: str) -> str:
    """One line of the table: ours, and the server's."""
    records, prompts = run.records(), {one.id: one for one in store.read(run.results.prompts / "p.jsonl")}
    asked = [prompts[record.prompt_id] for record in records]
    pairs = [(told_here(scenario, url, one), told_there(scenario, url, one)) for one in asked]
    cells = [scenario.name, counted(Counter(record.outcome for record in records)),
             f"{sum(record.inputs or 0 for record in records)} / {sum(len(one.texts) for one in asked)}",
             f"{sum(record.input_tokens or 0 for record in records):,} / "
             f"{sum(there.tokens or 0 for _, there in pairs):,}",
             f"{sum(here == there for here, there in pairs)} of {len(pairs)}", audited(run)]
    return f"| {' | '.join(cells)} |"


HEAD = "| scenario | requests here | inputs | tokens in | the same numbers | audit |\n|---|---|---|---|---|---|"


def main(argv: Sequence[str] | None = None) -> int:
    """Run every scenario, or those that are named, and print the table."""
    args = options("tests.infinity_check", __doc__, "infinity", argv)
    print(HEAD, flush=True)
    with kept(args.keep) as root:
        subprocess.run([args.server.with_name("python"), "-c", _SAVE, str(root)], check=True)
        with server(args.server, root) as url:
            for scenario in (one for one in SCENARIOS if not args.only or one.name in args.only):
                run = measured(scenario, url, own_folder(root, scenario.name))
                print(row(scenario, run, url), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
