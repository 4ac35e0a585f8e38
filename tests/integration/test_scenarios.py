"""Scenarios of locustfiles under real Locust processes: every request is a record, in every way to run them."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
import requests

from fmload.base.resources import resource
from fmload.model.record import Record, scenario_of
from fmload_analysis.pipeline import analyse
from tests.load_rig import HOLDS_SESSIONS, Run, Server, emulator, free_port, ids, locust, run_file, started, wait_until

EXAMPLES = {"chat_with_memory": {"ask"}, "retrieval": {"index", "embed", "answer"},
            "agent_with_tools": {"plan", "check", "write"},
            "two_tenants": {"chat", "summarize", "compare"}}
OPTIONS = {"retrieval": ("--fmload-embed-model", "e")}
FAST = ("--ttft", "30ms", "--gap", "4ms")
SHORT = ("--fmload-warmup", "1s", "--fmload-model", "m", "-t", "7s")


def example(name: str) -> Path:
    return resource("locustfiles", f"{name}.py")


def alone(folder: Path, server: Server, file: Path, *options: str, users: int = 6) -> Any:
    """The locustfile by headless Locust, as its docstring says."""
    (folder / "out").mkdir(exist_ok=True)
    port = str(free_port())
    return started(["-m", "locust", "-f", str(file), "--host", f"{server.url}/v1", "--headless", "-u", str(users),
                    "-r", "20", "--fmload-out", str(folder / "out"), "--master-bind-port", port, "--master-port", port,
                    *options], folder)


def sessions(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run.results.sessions_parquet).to_pylist()
    return rows


def notes(records: list[Record]) -> list[dict[str, Any]]:
    found = [scenario_of(record.detail) for record in records]
    assert all(note is not None for note in found)
    return [note for note in found if note is not None]


def in_sessions(records: list[Record]) -> Counter[str]:
    return Counter(str(note["session"]) for note in notes(records) if "session" in note)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_runs_as_its_docstring_says_and_every_request_is_a_record(name: str, tmp_path: Path) -> None:
    with (emulator(tmp_path, *FAST) as server,
          alone(tmp_path, server, example(name), *SHORT, *OPTIONS.get(name, ())) as run):
        assert run.wait() == 0, run.output()
        records = run.records()
        assert records and ids(records) == {one.request_id for one in server.requests()}
        assert {record.outcome for record in records} == {"ok"} and "Traceback" not in run.output()
        names = {note["name"] for note in notes(records)}
        assert names == EXAMPLES[name] - ({"compare", "summarize"} - names)  # which of those two come is drawn
        assert all(re.search(rf"(openai|embeddings)\s+{word}\s", run.output()) for word in names)
        if name != "two_tenants":
            told = {row["session"]: row["requests"] for row in sessions(run)}
            assert told == in_sessions([one for one in records if "session" in (scenario_of(one.detail) or {})])
            assert {row["outcome"] for row in sessions(run)} >= {"finished"}


def test_an_agent_waits_for_its_tools_and_its_requests_side_by_side_overlap(tmp_path: Path) -> None:
    with (emulator(tmp_path, *FAST) as server,
          alone(tmp_path, server, example("agent_with_tools"), *SHORT, users=2) as run):
        assert run.wait() == 0, run.output()
        whole = [row for row in sessions(run) if row["outcome"] == "finished"]
        assert whole and all(row["requests"] == 4 and row["in_tools_ns"] >= 50_000_000 for row in whole)
        for row in whole:
            of_it = [record for record in run.records() if (scenario_of(record.detail) or {}).get("session") ==
                     row["session"]]
            spans = sorted((record.send_ns or 0, record.last_token_ns or 0) for record in of_it)
            assert spans[2][0] < spans[1][1]  # the two looks side by side
            parts = row["in_requests_ns"] + row["in_tools_ns"]
            assert parts <= row["end_ns"] - row["begin_ns"] and row["in_requests_ns"] < sum(
                last - first for first, last in spans)


@pytest.mark.parametrize("ways", [("--processes", "2"), ("--master", "--expect-workers", "2")],
                         ids=["forks", "master and workers"])
def test_workers_share_the_users_and_nothing_is_lost(ways: tuple[str, ...], tmp_path: Path) -> None:
    file = example("chat_with_memory")
    with emulator(tmp_path, *FAST) as server:
        port = str(free_port())
        command = ["-m", "locust", "-f", str(file), "--host", f"{server.url}/v1", "--headless", "-u", "6", "-r", "20",
                   "--fmload-out", str(tmp_path / "out"), "--master-bind-port", port, "--master-port", port, *SHORT]
        with started([*command, *ways], tmp_path) as run:
            if "--master" in ways:
                worker = ["-m", "locust", "-f", str(file), "--worker", "--master-host", "127.0.0.1", "--master-port",
                          port]
                with started(worker, tmp_path, "w1"), started(worker, tmp_path, "w2"):
                    assert run.wait() == 0, run.output()
            else:
                assert run.wait() == 0, run.output()
        records = run.records()
        assert ids(records) == {one.request_id for one in server.requests()}
        assert len({record.worker for record in records}) == 2
        assert {row["session"]: row["requests"] for row in sessions(run)} == in_sessions(records)


SLOW = """
import gevent
from locust import SequentialTaskSet, constant, task
from fmload.locust import OpenAIUser

class Steps(SequentialTaskSet):
    @task
    def first(self):
        self.client.chat("one", name="first", max_tokens=5)

    @task
    def second(self):
        self.client.chat("two", name="second", max_tokens=5)
        self.client.chat("three", name="third", max_tokens=5)

    @task
    def end(self):
        self.interrupt()

class Person(OpenAIUser):
    wait_time = constant(0)
    tasks = [Steps]
"""


def test_a_stage_that_closes_ends_tasks_and_the_next_begins_them_anew(tmp_path: Path) -> None:
    file = tmp_path / "steps.py"
    file.write_text(SLOW)
    with emulator(tmp_path, *FAST) as server:
        path = run_file(tmp_path, {"a": server.url}, {"concurrency": [2, 3], "ramp": 0, "warmup": "1s", "window": "3s"},
                        prompts=[{"name": "short", "source": "scenario"}])
        with locust(tmp_path, "--headless", "--fmload-config", str(path), file=file) as run:
            assert run.wait() == 0, run.output()
        records = run.records()
        assert ids(records) == {one.request_id for one in server.requests()}
        for stage, users in ((0, 2), (1, 3)):
            of_it = sorted((one for one in records if one.stage == stage), key=lambda one: one.send_ns or 0)
            assert [note["name"] for note in notes(of_it[:users])] == ["first"] * users
            edges = sorted([(one.send_ns or 0, 1) for one in of_it] + [(one.end_ns or 0, -1) for one in of_it])
            depth = peak = 0
            for _, change in edges:
                depth += change
                peak = max(peak, depth)
            assert peak == users  # never more requests in flight than users
        assert "Traceback" not in run.output()


FAILS = """
from locust import constant, task
from fmload.locust import OpenAIUser

class Person(OpenAIUser):
    wait_time = constant(0.1)

    @task
    def quiet(self):
        with self.session("talk") as chat:
            chat.ask("one", name="quiet", max_tokens=5)
            chat.ask("two", name="quiet", max_tokens=5)

    @task
    def loud(self):
        self.client.chat("three", name="loud", max_tokens=5, raise_for_failure=True)
"""


def test_failures_are_records_and_exceptions_only_where_they_were_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "fails.py"
    file.write_text(FAILS)
    with (emulator(tmp_path, *FAST, "--fault", "503:share=0.3") as server,
          alone(tmp_path, server, file, *SHORT) as run):
        assert run.wait() == 1, run.output()  # Locust's own code for failures
        records = run.records()
        failed = [record for record in records if record.outcome == "http_5xx"]
        assert failed and ids(records) == {one.request_id for one in server.requests()}
        loud = sum(note["name"] == "loud" for note in notes(failed))
        assert run.output().count("RequestLost: loud: http_5xx") >= loud > 0
        assert "RequestLost: quiet" not in run.output()
        ended = Counter(row["outcome"] for row in sessions(run))
        assert ended["failed"] and ended["finished"]
        lost = {scenario_of(record.detail)["session"] for record in failed  # type: ignore[index]
                if "session" in (scenario_of(record.detail) or {})}
        assert {row["session"] for row in sessions(run) if row["outcome"] == "failed"} == lost


def test_plain_http_calls_stand_beside_the_model_in_locusts_statistics(tmp_path: Path) -> None:
    file = tmp_path / "look.py"
    with emulator(tmp_path, *FAST) as server:
        file.write_text(FAILS.replace("    @task\n    def loud(self):\n        self.client.chat("
                                      '"three", name="loud", max_tokens=5, raise_for_failure=True)',
                                      "    @task\n    def look(self):\n        assert self.http.get("
                                      f'"{server.url}/health", name="look").ok'))
        with alone(tmp_path, server, file, *SHORT) as run:
            assert run.wait() == 0, run.output()
            assert re.search(r"GET\s+look\s+\d+\s+0\(", run.output())
            assert ids(run.records()) == {one.request_id for one in server.requests()}


def test_with_the_web_ui_a_scenario_is_started_and_its_tasks_are_in_the_statistics(tmp_path: Path) -> None:
    with emulator(tmp_path, *FAST) as server:
        port, web = str(free_port()), str(free_port())
        command = ["-m", "locust", "-f", str(example("chat_with_memory")), "--host", f"{server.url}/v1", "--web-port",
                   web, "--fmload-model", "m", "--fmload-warmup", "1s", "--fmload-window", "3s", "--fmload-out",
                   str(tmp_path / "out"), "--master-bind-port", port, "--master-port", port]
        with started(command, tmp_path) as run:
            page = f"http://127.0.0.1:{web}"
            wait_until(lambda: _answers(page), 30.0, "the web UI")
            assert requests.post(f"{page}/swarm", data={"user_count": 3, "spawn_rate": 9, "run_time": "20s"},
                                 timeout=10).json()["success"]
            wait_until(lambda: run.stages() and run.stages()[0]["status"] == "done" and run.records(), 60.0, "the run")
            stats = orjson.loads(requests.get(f"{page}/stats/requests", timeout=5).content)["stats"]
            assert {"ask"} <= {row["name"] for row in stats}
            assert ids(run.records()) == {one.request_id for one in server.requests()}


SHAPED = """
from locust import LoadTestShape, constant, task
from fmload.locust import OpenAIUser

class Steps(LoadTestShape):
    def tick(self):
        now = self.get_run_time()
        return (2, 50) if now < 5 else (6, 50) if now < 10 else None

class Person(OpenAIUser):
    wait_time = constant(0)

    @task
    def ask(self):
        self.client.chat("Hello?", name="ask", max_tokens=20)
"""


def test_a_load_shape_of_the_locustfile_gives_the_load(tmp_path: Path) -> None:
    file = tmp_path / "shaped.py"
    file.write_text(SHAPED)
    with emulator(tmp_path, *FAST) as server:
        (tmp_path / "out").mkdir()
        port = str(free_port())
        command = ["-m", "locust", "-f", str(file), "--host", f"{server.url}/v1", "--headless", "--fmload-model", "m",
                   "--fmload-warmup", "1s", "--fmload-out", str(tmp_path / "out"), "--processes", "2",
                   "--master-bind-port", port, "--master-port", port]
        with started(command, tmp_path) as run:
            assert run.wait() == 0, run.output()
        records = run.records()
        assert ids(records) == {one.request_id for one in server.requests()}
        stage, = run.stages()
        assert (stage["load"]["value"], stage["window_s"]) == (6, 9.0)
        begun = stage["ramp_start_ns"]

        def in_flight(second: float) -> int:
            instant = begun + int(second * 1e9)
            return sum((one.send_ns or 0) <= instant < (one.end_ns or 0) for one in records)
        assert max(in_flight(second / 10) for second in range(10, 40)) == 2
        assert max(in_flight(second / 10) for second in range(70, 95)) == 6


def test_fmload_run_takes_a_locustfile_and_says_where_one_is_missing(tmp_path: Path) -> None:
    with emulator(tmp_path, *FAST) as server:
        path = run_file(tmp_path, {"a": server.url}, {"concurrency": [3], "ramp": 0, "warmup": "1s", "window": "3s"},
                        prompts=[{"name": "agents", "source": "scenario"}])
        command = ["-m", "fmload", "run", str(path), "--out", str(tmp_path / "out")]
        with started(command, tmp_path, "without") as run:
            assert run.wait() == 2 and "--locustfile agent.py" in run.output()
        with started([*command, "--locustfile", "no.py"], tmp_path, "missing") as run:
            assert run.wait() == 2 and "no such file" in run.output()
        with started([*command, "--locustfile", str(example("chat_with_memory"))], tmp_path) as run:
            assert run.wait() in (0, 4), run.output()
        assert run.records() and ids(run.records()) == {one.request_id for one in server.requests()}
        assert "Requests by task" in "".join(page.read_text() for page in (tmp_path / "out").glob("*.md"))


def test_embed_search_ask_are_records_of_both_kinds_in_one_session_and_both_have_their_tables(tmp_path: Path) -> None:
    with emulator(tmp_path, *FAST) as server:
        load = {"concurrency": [3], "ramp": 0, "warmup": "1s", "window": "5s", "side_by_side": True}
        endpoints = [{"name": name, "protocol": protocol, "model": name, "url": f"{server.url}/v1"}
                     for name, protocol in (("chat", "openai"), ("vectors", "embeddings"))]
        path = run_file(tmp_path, {}, load, endpoints=endpoints, prompts=[{"name": "rag", "source": "scenario"}])
        command = ["-m", "fmload", "run", str(path), "--out", str(tmp_path / "out"), "--locustfile",
                   str(example("retrieval"))]
        with started(command, tmp_path) as run:
            assert run.wait() in (0, 4), run.output()
        records, asked = run.records(), server.requests()
    assert ids(records) == {one.request_id for one in asked} and {one.outcome for one in records} == {"ok"}
    paths = {one.request_id: one.path for one in asked}
    for record in records:
        assert paths[record.request_id] == {"chat": "/v1/chat/completions",
                                            "vectors": "/v1/embeddings"}[record.endpoint]
        assert record.stage == {"chat": 0, "vectors": 1}[record.endpoint]
    whole = [row for row in sessions(run) if row["outcome"] == "finished"]
    assert whole and all((row["stage"], row["endpoint"], row["requests"]) == (0, "chat", 2) for row in sessions(run)
                         if row["outcome"] == "finished")
    stages = {one["endpoint"]: one for one in run.stages()}
    assert (stages["chat"]["users"], stages["vectors"]["users"]) == (3, None)
    analysis = analyse(tmp_path / "out")
    chat, vectors = analysis.results
    assert chat.summary.sessions is not None and chat.summary.sessions.lost == 0 and vectors.summary.sessions is None
    window = range(stages["vectors"]["window_start_ns"], stages["vectors"]["window_end_ns"])
    embedded = [one for one in records if one.endpoint == "vectors" and (one.last_token_ns or 0) in window]
    assert vectors.totals.completed == len(embedded) and vectors.value("inputs_per_s") == pytest.approx(
        sum(one.inputs or 0 for one in embedded) / ((window.stop - window.start) / 1e9))
    assert not [check for result in analysis.results for check in result.checks if check.group == 4
                and check.result == "FAIL"]
    told = "".join(page.read_text() for page in (tmp_path / "out").glob("*.md"))
    assert all(f"| {name} |" in told for name in ("answer", "embed", "question"))


RERANK = """
from locust import constant_pacing, task
from fmload.locust import OpenAIUser

COLOURS = ["red", "seven", "blue"]

class Customer(OpenAIUser):
    wait_time = constant_pacing(0.5)

    @task
    def ask(self):
        with self.session("question") as chat:
            ranked = self.client.rerank("a colour?", COLOURS, top_n=2)
            scores = [one.score for one in ranked.ranking]
            assert not ranked.ok or (len(scores) == 2 and scores == sorted(scores, reverse=True))
            chat.ask("Why " + "".join(COLOURS[one.index] for one in ranked.ranking), name="answer", max_tokens=5)
"""


def test_rankings_are_records_of_their_endpoint_in_the_session_of_its_user_and_have_their_own_figures(
        tmp_path: Path) -> None:
    (file := tmp_path / "rerank.py").write_text(RERANK)
    with (emulator(tmp_path, *FAST) as server,
          alone(tmp_path, server, file, *SHORT, "--fmload-rerank-model", "r", users=3) as run):
        assert run.wait() == 0 and "Traceback" not in run.output(), run.output()
        records, asked = run.records(), {one.request_id: one for one in server.requests()}
    assert ids(records) == set(asked) and {one.outcome for one in records} == {"ok"}
    for record in records:
        assert asked[record.request_id].path == {"m": "/v1/chat/completions", "rankings": "/v1/rerank"}[record.endpoint]
    assert {one.inputs for one in records if one.endpoint == "rankings"} == {3}
    assert {(row["endpoint"], row["requests"]) for row in sessions(run) if row["outcome"] == "finished"} == {("m", 2)}
    chat, rankings = analyse(tmp_path / "out").results
    assert chat.summary.sessions is not None and chat.summary.sessions.lost == 0
    assert rankings.summary.sessions is None and (rankings.value("inputs_per_s") or 0) > 0


def test_ctrl_c_ends_a_scenario_in_order_and_without_a_traceback(tmp_path: Path) -> None:
    with (emulator(tmp_path, *FAST) as server,
          alone(tmp_path, server, example("chat_with_memory"), "--fmload-model", "m", "-t", "60s", users=2) as run):
        wait_until(run.in_window, 60.0, "the window")
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 130, run.output()
    assert "Traceback" not in run.output() and ids(run.records()) == {one.request_id for one in server.requests()}


def test_a_locustfile_that_embeds_where_nothing_does_is_told_how(tmp_path: Path) -> None:
    with (emulator(tmp_path, *FAST) as server,
          alone(tmp_path, server, example("retrieval"), *SHORT, users=1) as run):
        assert run.wait() == 1, run.output()
        assert "no endpoint for embeddings" in run.output() and "--fmload-embed-model" in run.output()


def test_a_scenarios_turns_name_the_answer_that_the_server_holds_and_send_what_is_new(tmp_path: Path) -> None:
    with emulator(tmp_path, *FAST, "--truth-texts") as server:
        load = {"concurrency": [3], "ramp": 0, "warmup": "1s", "window": "4s"}
        path = run_file(tmp_path, {"a": server.url}, load, HOLDS_SESSIONS,
                        prompts=[{"name": "talk", "source": "scenario"}])
        with locust(tmp_path, "--headless", "--fmload-config", str(path), file=example("agent_with_tools")) as run:
            assert run.wait() == 0, run.output()
        records, truths = run.records(), {one.request_id: one for one in server.requests()}
    assert ids(records) == set(truths) and {one.outcome for one in records} == {"ok"}
    by_step = {(note["session"], note["step"]): truths[record.request_id]
               for record, note in zip(records, notes(records), strict=True)}
    later = [(by_step[note["session"], note["goes_on"]], truths[record.request_id], record)
             for record, note in zip(records, notes(records), strict=True) if note["goes_on"] is not None]
    assert later
    for before, after, record in later:
        assert after.held_texts == len(before.asked or []) + 1 and record.input_tokens == after.input_tokens
        assert (after.asked or [])[:after.held_texts] == [*(before.asked or []), before.said]


def test_the_how_to_runs_as_it_is_written(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()
    guide = page[page.index("## In five minutes"):page.index("## Users")]
    code, = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    serve, load = (block.strip() for block in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL))
    port, other = str(free_port()), str(free_port())
    (tmp_path / "agent.py").write_text(code)
    run, report = (line.replace("8080", port).split() for line in load.splitlines())
    with started(["-m", *serve.removesuffix("&").replace("8080", port).split()], tmp_path, "server"):
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), 30.0, "the emulator")
        with started(["-m", *run, "--master-bind-port", other, "--master-port", other], tmp_path) as locust_run:
            assert locust_run.wait() == 0, locust_run.output()
    with started(["-m", *report], tmp_path, "report") as made:
        assert made.wait() in (0, 4), made.output()  # 4: a busy machine, and the audit says so
    told = "".join(one.read_text() for one in (tmp_path / "results/agent").glob("*.md"))
    assert "Requests by task" in told and "| plan |" in told and "| write |" in told and "| job |" in told


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
