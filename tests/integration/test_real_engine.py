"""A real engine, llama.cpp's own HTTP server: what we measure against what it says of itself."""

from __future__ import annotations

import itertools
import json
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gevent
import pytest
from handmade import pages

from fmload.config.schema import EndpointSpec
from fmload.endpoints.http import HttpEndpoint
from fmload.model.prompt import Prompt
from fmload.model.record import Record, scenario_of
from fmload.prompts.aligned import aligned
from fmload.prompts.synthetic import chat_count_of, text_of
from fmload.prompts.tokenizer import Tokenizer
from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from fmload_analysis.stage.telemetry import AT_END
from tests.integration import random_llama
from tests.load_rig import fmload_run, run_file, sweep
from tests.spoken import spoken

pytestmark = pytest.mark.alone

KEY = "a-key-of-the-test"
TOKENS = 40


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running server with a model that takes several ms a token."""
    folder = tmp_path_factory.mktemp("engine")
    model = folder / "random.gguf"
    random_llama.write(model, hidden=512, layers=6)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("serve_llama.py")), str(model), KEY],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, (folder / "log").read_text(errors="replace")
            yield url
        finally:
            process.kill()
            process.wait()


def engine_endpoint(url: str, key: str = KEY, streamed: bool = True) -> HttpEndpoint:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGINE_KEY", key)
        return spoken("openai", url, name="llama", model="random", stream=streamed, api_key_env="ENGINE_KEY")


def ask(url: str, key: str = KEY, streamed: bool = True, tokens: int = TOKENS,
        text: str = "a few words to begin with", **parameters: Any) -> Record:
    endpoint = engine_endpoint(url, key, streamed)
    prompt = Prompt("p", "set", text=text, output_tokens=tokens, exact_output=True,
                    parameters={"temperature": 0.8, "seed": 1, **parameters})
    wire = Http1Wire(Timeouts(first_token_s=60))
    record, _ = measure(endpoint, prompt, wire, endpoint.addresses()[0], request_id="r", worker="w", stage=0,
                        scheduled_ns=time.monotonic_ns())
    wire.close()
    return record


def tpot_ms(record: Record) -> float:
    assert record.output_tokens is not None and record.first_token_ns and record.last_token_ns
    return (record.last_token_ns - record.first_token_ns) / (record.output_tokens - 1) / 1e6


def engines_own(record: Record) -> dict[str, float]:
    assert record.detail is not None
    return json.loads(record.detail)["timings"]


def test_tpot_is_within_2_percent_of_the_engines_own(engine: str) -> None:
    """The engine's `predicted_ms` begins with its first token, too: n − 1 steps are in it."""
    records = [ask(engine) for _ in range(7)]
    assert {record.outcome for record in records} == {"ok"}
    ratios = [tpot_ms(record) * (TOKENS - 1) / engines_own(record)["predicted_ms"] for record in records]
    print(f"\nTPOT {statistics.median(map(tpot_ms, records)):.2f} ms, ratio to the engine's own: {ratios}")
    assert statistics.median(ratios) == pytest.approx(1, abs=0.02)


def test_counts_and_reasons_are_the_engines(engine: str) -> None:
    record = ask(engine)
    assert (record.output_tokens, record.tokens_source, record.finish_reason) == (TOKENS, "server", "length")
    assert record.input_tokens is not None and record.input_tokens > 5
    assert record.stamp == "kernel" and not any(record.chunk_censored)
    assert abs(len(record.chunk_ns) - TOKENS) <= 2
    assert record.send_ns < record.first_token_ns < record.last_token_ns <= record.end_ns  # type: ignore[operator]


def test_two_at_a_time_share_the_engine_and_each_is_right(engine: str) -> None:
    alone = tpot_ms(ask(engine))
    requests = [gevent.spawn(ask, engine, seed=seed) for seed in (1, 2)]
    together = [request.get(timeout=60) for request in requests]
    assert [record.outcome for record in together] == ["ok", "ok"]
    assert min(map(tpot_ms, together)) > alone * 0.9  # two on one core are not faster than one


def test_without_a_stream_there_is_one_arrival_and_no_tpot(engine: str) -> None:
    record = ask(engine, streamed=False)
    assert (record.outcome, record.output_tokens, list(record.chunk_tokens)) == ("ok", TOKENS, [TOKENS])
    assert record.first_token_ns == record.last_token_ns


def test_a_wrong_key_is_a_4xx_in_the_engines_words(engine: str) -> None:
    record = ask(engine, key="wrong")
    assert (record.outcome, record.status) == ("http_4xx", 401) and "API Key" in (record.error or "")


@pytest.mark.parametrize(("protocol", "reason"), [
    ("llama_cpp", "limit"), ("anthropic", "max_tokens"), ("responses", "completed")])
def test_its_other_protocols_are_read_to_its_own_counts(engine: str, protocol: str, reason: str,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", KEY)
    for streamed in (True, False):
        endpoint = spoken(protocol, engine, model="random", stream=streamed, api_key_env="ENGINE_KEY",
                          exact_output_parameters={"ignore_eos": True})
        prompt = Prompt("p", "set", text="a few words to begin with", output_tokens=TOKENS, exact_output=True,
                        parameters={"temperature": 0.8, "seed": 1})
        record, reading = measure(endpoint, prompt, Http1Wire(Timeouts(first_token_s=60)), endpoint.addresses()[0],
                                  request_id="r", worker="w", stage=0, scheduled_ns=time.monotonic_ns())
        assert (record.outcome, record.error) == ("ok", None)
        assert (record.output_tokens, record.tokens_source) == (TOKENS, "server") and record.input_tokens
        assert reading.finish_reason == reason
        assert not streamed or 1 < len(record.chunk_ns) <= TOKENS


def test_a_prompt_beyond_the_context_is_a_4xx_in_the_engines_words(engine: str) -> None:
    endpoint = engine_endpoint(engine)
    record, _ = measure(endpoint, Prompt("p", "s", text="zq " * 20_000), Http1Wire(), endpoint.addresses()[0],
                        request_id="r", worker="w", stage=0, scheduled_ns=0)
    assert (record.outcome, record.status) == ("http_4xx", 400) and "context" in (record.error or "")


def test_prompts_aligned_by_the_engine_have_the_length_it_counts(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", KEY)
    spec = EndpointSpec.model_validate({"name": "llama", "protocol": "openai", "url": engine, "align": "server",
                                        "api_key_env": "ENGINE_KEY"})
    counter = aligned(spec, "server of llama", Tokenizer.load("bundled"))
    count = chat_count_of(counter)
    for length in (40, 73):
        text = text_of(length, count, random.Random(length))
        assert ask(engine, text=text, tokens=2).input_tokens == length


def test_a_run_agrees_with_the_metrics_that_the_engine_serves(
        engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", KEY)
    load = {"concurrency": [2], "ramp": 0, "warmup": "1s", "window": "8s", "drain": "20s"}
    prompts = [{"name": "p", "source": "synthetic", "input_tokens": 20, "output_tokens": TOKENS, "exact_output": True,
                "count": 200}]
    telemetry = [{"name": "llama", "collector": "prometheus", "endpoint": "a", "api_key_env": "ENGINE_KEY",
                  "url": f"{engine.removesuffix('/v1')}/metrics", "every": "200ms"}]
    path = run_file(tmp_path, {"a": engine.removesuffix("/v1")}, load, prompts=prompts, telemetry=telemetry)
    path.write_text(path.read_text().replace("protocol: openai", "protocol: openai\n  api_key_env: ENGINE_KEY"))
    with fmload_run(tmp_path, path) as run:
        assert run.wait() == 0, run.output()
    audited = json.loads(run.results.audit_json.read_text())["stages"][0]["checks"]
    checks = {check["name"]: check for check in audited}
    times, tokens = checks["server's times = ours"], checks["server's counters = ours"]
    assert times["result"] == tokens["result"] == "PASS", (times, tokens)
    assert times["figures"]["decode_s_per_token"]["server"] > 0  # as llama.cpp defines its mean
    assert tokens["figures"][AT_END]["server"] > 0  # counted as requests end
    assert KEY not in run.results.run_yml.read_text() + pages(run.results)


class Recorder(ThreadingHTTPServer):
    """Stands between client and engine, and keeps what was asked and what came back, by request id."""

    daemon_threads = True

    def __init__(self, engine: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.engine, self.seen = engine, dict[str, tuple[dict[str, Any], str]]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Passing(BaseHTTPRequestHandler):
    server: Recorder
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        sent = urllib.request.Request(self.server.engine.removesuffix("/v1") + self.path, asked, {
            name: self.headers[name] for name in ("Content-Type", "Authorization") if name in self.headers})
        with urllib.request.urlopen(sent, timeout=60) as answer:
            body = answer.read()
            self.server.seen[self.headers["X-Request-Id"]] = json.loads(asked), _said(body.decode())
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: pytest shows what fails."""


def _said(body: str) -> str:
    """The answer's words, of a stream of OpenAI's chunks, read as simply as that goes."""
    events = [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: {")]
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event.get("choices"))


@pytest.fixture
def recorder(engine: str) -> Iterator[Recorder]:
    with Recorder(engine) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_eight_turns_with_the_engine_carry_what_it_really_said(
        recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", KEY)
    prompts = [{"name": "talk", "source": "conversation", "turns": 8, "input_tokens": 8, "answer_tokens": 6,
                "answers": "served", "exact_output": True, "count": 200}]
    path = run_file(tmp_path, {"a": recorder.url}, {"concurrency": [2], "ramp": 0, "warmup": "1s", "window": "12s"},
                    prompts=prompts)
    path.write_text(path.read_text().replace("protocol: openai", "protocol: openai\n  api_key_env: ENGINE_KEY"))
    with sweep(tmp_path, path, processes=1) as run:
        assert run.wait() == 0, run.output()
    talks: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(run.records(), key=lambda one: one.send_ns or 0):
        note = scenario_of(record.detail) or {}
        if record.outcome == "ok" and "session" in note:
            talks[note["session"]].append(record)
    assert any(len(turns) == 8 for turns in talks.values())
    for turns in talks.values():
        for before, after in itertools.pairwise(recorder.seen[record.request_id] for record in turns):
            (asked, said), (then, _) = before, after
            assert then["messages"][:-1] == [*asked["messages"], {"role": "assistant", "content": said}]
        counts = [record.input_tokens or 0 for record in turns]
        assert counts == sorted(counts)
