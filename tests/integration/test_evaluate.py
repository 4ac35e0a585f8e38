"""`fmload evaluate` with judges that are known to be biased: what comes out is what arithmetic says."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from handmade import pages, request, stage, write

from fmload.base.errors import FmloadError
from fmload.cli.main import main
from fmload.model.prompt import Prompt
from fmload.prompts import store
from fmload.results import answers
from fmload.results.folder import Results
from fmload_analysis.evaluate.embedding_server import EmbeddingServer
from fmload_analysis.evaluate.embeddings import Embeddings, EmbeddingSpec
from tests.integration.judges import INPUT_TOKENS, OUTPUT_TOKENS, Judges, judges, tag
from tests.load_rig import emulator, ids, run_file, started, sweep, wait_until

PROMPTS = 10
WRONG = {"cheap": 4, "dear": 1}  # the first so many answers of an endpoint are wrong


def answered_run(root: Path, *, text: str = "{}", finish_reason: str | None = None, cut: bool = False,
                 reasoning: str | None = None, **prompts: Any) -> Results:
    """Ten questions with ground truths; `cheap` answers 6 of them right, `dear` 9, at 3.60 and 36 USD an hour."""
    records = [request(f"{name}-{k}", 90 * k, [90 * k + 50, 90 * k + 80], stage=number, endpoint=name,
                       prompt_set="qa", prompt_id=f"qa-{k}", finish_reason=finish_reason)
               for number, name in enumerate(WRONG) for k in range(PROMPTS)]
    endpoints = [{"name": "cheap", "price": {"hourly": 3.6}}, {"name": "dear", "price": {"hourly": 36.0}}]
    results = write(root, [stage(number, endpoint=name, prompt_set="qa") for number, name in enumerate(WRONG)],
                    records, spec={"endpoints": endpoints, "prompts": [{"name": "qa", **prompts}]})
    store.write(results.prompts / "qa.jsonl", [Prompt(f"qa-{k}", "qa", text=f"What is {k} + {k}?",
                                                      reference=str(2 * k)) for k in range(PROMPTS)])
    rows = [{"request_id": record.request_id, "stage": record.stage, "endpoint": record.endpoint, "prompt_set": "qa",
             "prompt_id": record.prompt_id, "text": text.format(said(record.endpoint, int(record.prompt_id[3:]))),
             "reasoning": reasoning, "cut": cut} for record in records]
    pq.write_table(pa.Table.from_pylist(rows, schema=answers.SCHEMA), results.answers_parquet)
    return results


def said(endpoint: str, k: int) -> str:
    return "no idea" if k < WRONG[endpoint] else f"{2 * k}!" if endpoint == "cheap" else str(2 * k)


def right(text: str, answer: str) -> bool:
    return tag(text, answer).rstrip("!") == tag(text, "reference")


def fair(text: str) -> str:
    """Grades by the reference; of two answers prefers the right one."""
    if "<answer>" in text:
        return f'Let me see. {{"reason": "checked", "correct": {json.dumps(right(text, "answer"))}}}'
    a, b = right(text, "answer_a"), right(text, "answer_b")
    return json.dumps({"reason": "checked", "winner": "tie" if a == b else "A" if a else "B"})


def kind(text: str) -> str:
    """Everything is correct, for half a character of a reason; the first answer is always the better one."""
    return '```json\n{"correct": true, "reason": "\\ud83d"}\n```' if "<answer>" in text else '{"winner": "A"}'


def garbage(text: str) -> str:
    return "As a language model {I cannot} say. {{{"


def panel_file(folder: Path, server: Judges, **keys: Any) -> Path:
    panel = [{"name": name, "protocol": "openai", "url": server.url, "model": name, "stream": index % 2 == 0,
              "price": {"input_per_1m": 10, "output_per_1m": 100}} for index, name in enumerate(server.rules)]
    path = folder / "judges.yml"
    path.write_text(yaml.safe_dump({"judges": panel, "backoff": "10ms", **keys}))
    return path


def evaluated(results: Results, *options: str, code: int = 0) -> dict[str, Any]:
    assert main(["evaluate", str(results.root), *options]) == code
    found: dict[str, Any] = json.loads(results.evaluation_json.read_text())
    return found


def test_vote_agreement_and_swap_check_are_what_arithmetic_says(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    with judges(fair=fair, kind=kind, second=fair) as server:
        found = evaluated(results, "--judges", str(panel_file(tmp_path, server)), "--concurrency", "4")
    quality = {group["endpoint"]: group["correct"] for group in found["quality"]}
    # Two fair judges outvote the kind one.
    assert (quality["cheap"]["correct"], quality["cheap"]["incorrect"], quality["cheap"]["undecided"]) == (6, 4, 0)
    assert (quality["dear"]["share"], quality["dear"]["n"], quality["dear"]["by"]) == (0.9, 10, "panel")
    answers = [json.loads(line) for line in results.evaluated_jsonl.read_text().splitlines()]
    assert len(answers) == 20 and sum(answer["verdict"] == "correct" for answer in answers) == 6 + 9
    said = {"choice": "correct", "outcome": "ok", "told": "\ud83d"}
    assert all(answer["judges"]["kind"] == said for answer in answers)
    difference, = found["differences"]  # dear is right where cheap is wrong in three of ten, never the other way round
    assert (difference["first"], difference["n"], difference["difference"]) == ("cheap", 10, pytest.approx(-0.3))
    # fair and kind: 15 of 20 the same; by chance 15/20 · 1 + 5/20 · 0; so kappa = 0. fair and second: all the same.
    pairs = {tuple(each["judges"]): each for each in found["agreement"]}
    assert pairs["fair", "kind"]["observed"] == 0.75 and pairs["fair", "kind"]["kappa"] == pytest.approx(0)
    assert pairs["fair", "second"]["kappa"] == pytest.approx(1)
    # Fleiss: 15 items of full agreement, 5 of 2:1 (1/3); p(correct) = 50/60.
    observed, by_chance = (15 + 5 / 3) / 20, (5 / 6) ** 2 + (1 / 6) ** 2
    assert found["panel"]["kappa"] == pytest.approx((observed - by_chance) / (1 - by_chance))
    order = {judge["judge"]: judge["order"] for judge in found["judges"]}
    # Question 0 is answered `no idea` by both, and nobody is asked about it: nine comparisons in both orders.
    assert order["kind"] == {"n": 9, "changed": 9, "first": 9, "second": 0, "first_share": 1.0}
    assert order["fair"] == {"n": 9, "changed": 0, "first": 0, "second": 0, "first_share": 0.5}
    compared, = found["comparisons"]
    # dear is right where cheap is wrong in questions 1, 2, 3; a tie in the other six, and in the equal answers.
    assert (compared["endpoints"], compared["wins"], compared["ties"]) == (["cheap", "dear"], [0, 3], 7)
    # 20 grades, and 18 comparisons for nine pairs; equal questions are asked once: `no idea` to question 0.
    assert [judge["questions"] for judge in found["judges"]] == [37, 37, 37]
    assert set(server.answered.values()) == {1} and len(server.answered) == 111
    assert found["usd"] == pytest.approx(111 * (INPUT_TOKENS * 10 + OUTPUT_TOKENS * 100) / 1e6)
    assert server.peak <= 4


def stern(text: str) -> str:
    """Nothing is correct; the second answer is always the better one."""
    return '{"correct": false}' if "<answer>" in text else '{"winner": "B"}'


def talkative(text: str) -> str:
    """The longer, the better: an answer is correct from six characters on."""
    if "<answer>" in text:
        return json.dumps({"correct": len(tag(text, "answer")) >= 6})
    a, b = len(tag(text, "answer_a")), len(tag(text, "answer_b"))
    return json.dumps({"winner": "tie" if a == b else "A" if a > b else "B"})


def test_three_biased_judges_are_seen_to_be_biased(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    with judges(kind=kind, stern=stern, talkative=talkative) as server:
        found = evaluated(results, "--judges", str(panel_file(tmp_path, server)))
    # kind and stern cancel out, so talkative decides: "no idea" has six characters, numbers have fewer.
    quality = {group["endpoint"]: group["correct"] for group in found["quality"]}
    assert {name: (each["correct"], each["incorrect"]) for name, each in quality.items()} == {
        "cheap": (4, 6), "dear": (1, 9)}
    pairs = {tuple(each["judges"]): each for each in found["agreement"]}
    assert pairs["kind", "stern"]["observed"] == 0.0 and pairs["kind", "stern"]["kappa"] == pytest.approx(0)
    assert pairs["kind", "talkative"]["observed"] == 0.25 and pairs["stern", "talkative"]["observed"] == 0.75
    # Fleiss: one pair of three agrees on every answer (1/3); p(correct) = (20 + 0 + 5) / 60.
    by_chance = (25 / 60) ** 2 + (35 / 60) ** 2
    assert found["panel"]["kappa"] == pytest.approx((1 / 3 - by_chance) / (1 - by_chance))
    order = {judge["judge"]: judge["order"] for judge in found["judges"]}
    assert (order["kind"]["changed"], order["kind"]["first_share"]) == (9, 1.0)
    assert (order["stern"]["changed"], order["stern"]["second"], order["stern"]["first_share"]) == (9, 9, 0.0)
    assert (order["talkative"]["changed"], order["talkative"]["first_share"]) == (0, 0.5)
    # Only talkative's choices hold: cheap's "no idea" beats dear's number in 1, 2, 3; its "8!" beats "8" in 4 to 9.
    compared, = found["comparisons"]
    assert (compared["wins"], compared["ties"], compared["undecided"]) == ([9, 0], 1, 0)
    report = pages(results)
    assert "The choices of **kind** changed" in report and "The choices of **stern** changed" in report
    assert "The choices of **talkative**" not in report


def test_the_report_says_what_a_correct_answer_costs(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    with judges(fair=fair) as server:
        evaluated(results, "--judges", str(panel_file(tmp_path, server)))
    report = pages(results)
    section = report[report.index("Quality of the answers"):]
    # 10 transactions a second: 3.6 USD/h is 0.0001 USD each; 0.6 of them are right.
    line = next(line for line in section.splitlines() if line.startswith("| cheap"))
    assert "$0.100" in line and "$0.167" in line and "60 %" in line
    assert "quality" in results.report_html.read_text()


def test_a_throttling_judge_is_waited_for_and_counted(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    with judges(fair=fair, busy=fair) as server:
        server.throttled["busy"] = 7
        found = evaluated(results, "--judges", str(panel_file(tmp_path, server, attempts=20)), "--concurrency", "3")
    busy = found["judges"][1]
    assert (busy["throttled"], busy["failed"], busy["ok"]) == (7, 0, busy["questions"])
    assert busy["attempts"] == busy["questions"] + 7 == server.count("busy") + server.refused["busy"]
    assert found["judges"][0]["throttled"] == 0


def test_garbage_is_counted_paid_for_and_has_no_vote(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    path = tmp_path / "judges.yml"
    with judges(fair=fair, mad=garbage) as server:
        path = panel_file(tmp_path, server)
        found = evaluated(results, "--judges", str(path))
        assert evaluated(results, "--judges", str(path)) == found
        assert set(server.answered.values()) == {1}
    mad = found["judges"][1]
    assert (mad["garbage"], mad["ok"], mad["correct_share"], mad["order"]) == (mad["questions"], 0, None, None)
    assert mad["usd"] == pytest.approx(found["judges"][0]["usd"]) and found["panel"] is None
    assert {group["endpoint"]: group["correct"]["share"] for group in found["quality"]} == {"cheap": 0.6, "dear": 0.9}


def test_a_judge_that_keeps_failing_gives_up_and_is_asked_again_next_time(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    with judges(fair=fair, gone=fair) as server:
        path = panel_file(tmp_path, server, attempts=1)
        server.throttled["gone"] = 10**6
        found = evaluated(results, "--judges", str(path), "--concurrency", "1", code=4)
        assert server.refused["gone"] == 10
        gone = found["judges"][1]
        assert (gone["failed"], gone["unasked"]) == (10, gone["questions"] - 10)
        server.throttled["gone"] = 0
        found = evaluated(results, "--judges", str(path))
        assert set(server.answered.values()) == {1}
    assert found["judges"][1]["ok"] == found["judges"][1]["questions"]


def test_a_killed_evaluation_goes_on_without_paying_twice(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    with judges(fair=fair) as server:
        command = ["-m", "fmload", "evaluate", str(results.root), "--judges", str(panel_file(tmp_path, server)),
                   "--concurrency", "2"]
        server.silent_after["fair"] = 15
        with started(command, tmp_path) as run:
            wait_until(lambda: results.verdicts_jsonl.exists()
                       and results.verdicts_jsonl.read_bytes().count(b"\n") == 15, 60, "fifteen verdicts")
            run.process.send_signal(signal.SIGKILL)
            run.process.wait(10)
        assert not results.evaluation_json.exists()
        with results.verdicts_jsonl.open("ab") as file:
            file.write(b'{"key": "torn')
        del server.silent_after["fair"]
        found = evaluated(results, *command[4:])
        assert len(server.answered) == 37 and set(server.answered.values()) == {1}
    assert found["judges"][0]["ok"] == 37
    assert len(results.verdicts_jsonl.read_text().splitlines()) == 37


def test_judging_stops_before_it_costs_more_than_allowed_and_goes_on_without_paying_twice(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = answered_run(tmp_path / "run")
    each = (INPUT_TOKENS * 10 + OUTPUT_TOKENS * 100) / 1e6
    with judges(fair=fair, kind=kind) as server:
        path = str(panel_file(tmp_path, server))
        assert evaluated(results, "--judges", path, "--max-cost", "0", code=4)["usd"] is None
        assert not server.answered and "74 questions to 2 judges" in (told := capsys.readouterr().err)
        assert [line.split()[:2] for line in told.splitlines() if line.startswith(("fair", "kind"))] == [
            ["fair", "37"], ["kind", "37"]]
        limit = 30.5 * each
        found = evaluated(results, "--judges", path, "--max-cost", str(limit), "--concurrency", "1", code=4)
        asked = server.count("fair") + server.count("kind")
        assert found["usd"] == pytest.approx(asked * each) and limit - each < found["usd"] <= limit
        assert f"{74 - asked} questions left" in " ".join(capsys.readouterr().err.split())
        assert sum(judge["unasked"] for judge in found["judges"]) == 74 - asked
        found = evaluated(results, "--judges", path, "--max-cost", "1")
        assert set(server.answered.values()) == {1} and found["usd"] == pytest.approx(74 * each)


def test_a_limit_of_cost_is_refused_where_a_judge_has_no_price(tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    results = answered_run(tmp_path / "run")
    path = tmp_path / "judges.yml"
    path.write_text("judges:\n  - {name: own, protocol: openai, url: 'http://127.0.0.1:1', model: m}\n")
    assert main(["evaluate", str(results.root), "--judges", str(path), "--max-cost", "1"]) == 2
    assert "no token prices are known of own" in capsys.readouterr().err
    assert not results.evaluation_json.exists()


def test_an_interrupted_evaluation_keeps_its_verdicts_and_shows_no_traceback(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    with judges(fair=fair) as server:
        server.silent_after["fair"] = 5
        with started(["-m", "fmload", "evaluate", str(results.root), "--judges",
                      str(panel_file(tmp_path, server))], tmp_path) as run:
            wait_until(lambda: results.verdicts_jsonl.exists()
                       and results.verdicts_jsonl.read_bytes().count(b"\n") == 5, 60, "five verdicts")
            run.process.send_signal(signal.SIGINT)
            assert run.wait(20) == 130
    assert "Traceback" not in run.output()
    assert len(results.verdicts_jsonl.read_text().splitlines()) == 5


def test_without_judges_a_correct_answer_is_an_exact_match(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    found = evaluated(results)
    cheap, dear = found["quality"]
    assert cheap["correct"]["by"] == "exact_match" and cheap["correct"]["share"] == 0.6
    assert dear["scores"]["token_f1"]["mean"] == 0.9
    truths = tmp_path / "truths.jsonl"
    truths.write_text(json.dumps({"prompt_set": "qa", "prompt_id": "qa-0", "reference": ["none", "no idea"]}) + "\n")
    assert [group["correct"]["share"] for group in evaluated(results, "--references", str(truths))["quality"]] == [
        0.7, 1.0]
    truths.write_text(json.dumps({"prompt_set": "q", "prompt_id": "qa-0", "reference": "x"}))
    assert main(["evaluate", str(results.root), "--references", str(truths)]) == 2
    limited = evaluated(results, "--limit", "2")["quality"]
    assert [(group["prompts"], group["correct"]["share"]) for group in limited] == [(2, 0.0), (2, 0.5)]


def test_without_judges_an_answer_is_right_by_the_rule_of_its_source(tmp_path: Path,
                                                                     capsys: pytest.CaptureFixture[str]) -> None:
    results = answered_run(tmp_path / "number", source="gsm8k")
    assert [(group["correct"]["by"], group["correct"]["share"]) for group in evaluated(results)["quality"]] == [
        ("number", 0.6), ("number", 0.9)]
    assert "the number that it ends with is the ground truth's" in pages(results)
    code = answered_run(tmp_path / "code", source="humaneval")
    found = evaluated(code)["quality"]
    assert [(group["correct"], group["scores"]) for group in found] == [(None, {}), (None, {})]
    assert "the answers to 'qa' are code, which is run only with --run-code" in capsys.readouterr().out


def test_answers_cut_off_by_the_endpoint_are_wrong_and_those_not_kept_whole_are_not_judged(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run", source="gsm8k", text="first {}, then", finish_reason="length")
    assert [group["correct"]["share"] for group in evaluated(results)["quality"]] == [0.0, 0.0]
    told = answered_run(tmp_path / "told", source="gsm8k", finish_reason="MAX_TOKENS")
    assert [group["correct"]["share"] for group in evaluated(told)["quality"]] == [0.6, 0.9]  # the number alone
    parts = answered_run(tmp_path / "parts", source="gsm8k", cut=True)
    assert [group["correct"] for group in evaluated(parts)["quality"]] == [None, None]
    thought = answered_run(tmp_path / "thought", source="gsm8k", cut=True, reasoning="Let me think about it. " * 9)
    assert [group["correct"]["share"] for group in evaluated(thought)["quality"]] == [0.6, 0.9]


def test_code_that_may_be_run_is_right_by_its_tests(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run", source="humaneval")
    truths = tmp_path / "truths.jsonl"
    tasks = ({"prompt": "def f():\n    return ", "entry_point": "f",
              "test": f"def check(f):\n    assert f() == {2 * k}\n"} for k in range(PROMPTS))
    truths.write_text("".join(json.dumps({"prompt_set": "qa", "prompt_id": f"qa-{k}", "reference": json.dumps(task)})
                              + "\n" for k, task in enumerate(tasks)))
    found = evaluated(results, "--references", str(truths), "--run-code")["quality"]
    assert [group["correct"]["by"] for group in found] == ["tests", "tests"]
    assert [group["correct"]["share"] for group in found] == [0.0, 0.9]  # "18!" is no Python


def test_a_ground_truth_that_is_no_task_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = answered_run(tmp_path / "run", source="humaneval")
    assert main(["evaluate", str(results.root), "--run-code"]) == 2
    assert "no task with prompt, entry_point and test" in capsys.readouterr().err


def test_cosine_similarity_is_of_the_vectors_of_an_embedding_server() -> None:
    with judges() as server:
        server.throttled["mini"] = 2
        spec = EmbeddingSpec(url=server.url, model="mini")
        embeddings = Embeddings(EmbeddingServer(spec, attempts=3, backoff_s=0.01))
        embeddings.fetch(["aab", "b", "a", "aab", " ", *("a" * size for size in range(2, 40))])
        assert set(server.answered.values()) == {1}
        server.throttled["mini"] = 3
        with pytest.raises(FmloadError, match="503"):
            embeddings.fetch(["bb"])
    assert embeddings.cosine("aab", "a") == pytest.approx(2 / math.sqrt(5))
    assert embeddings.cosine("a", "b") == 0.0 == embeddings.cosine(" ", "a")
    assert embeddings.cosine("aab", "aab") == pytest.approx(1.0)


def test_an_embedding_adds_a_score_without_any_judge(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    path = tmp_path / "judges.yml"
    with judges() as server:
        path.write_text(yaml.safe_dump({"embedding": {"url": server.url, "model": "mini"}}))
        found = evaluated(results, "--judges", str(path))
    assert {group["correct"]["by"] for group in found["quality"]} == {"exact_match"}
    assert found["quality"][0]["scores"]["cosine"]["n"] == PROMPTS
    assert "cosine by `mini`" in pages(results)


def test_no_judge_is_asked_where_the_embedding_fails(tmp_path: Path) -> None:
    results = answered_run(tmp_path / "run")
    with judges(fair=fair) as server:
        path = panel_file(tmp_path, server, embedding={"model": str(tmp_path)})  # a folder without a model
        assert main(["evaluate", str(results.root), "--judges", str(path)]) == 2
        assert not server.answered


def test_a_run_without_answers_and_a_wrong_judges_file_are_told(tmp_path: Path,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    results = answered_run(tmp_path / "run")
    wrong = tmp_path / "judges.yml"
    wrong.write_text("judges:\n  - {name: a, protocol: openai, url: 'http://127.0.0.1:1'}\nrubrics: {qa: nowhere.j2}\n")
    assert main(["evaluate", str(results.root), "--judges", str(wrong)]) == 2
    assert "nowhere.j2" in capsys.readouterr().err
    wrong.write_text("judges: []\njugdes: 3\n")
    assert main(["evaluate", str(results.root), "--judges", str(wrong)]) == 2
    assert "judges.yml:1: judges" in (told := capsys.readouterr().err) and "did you mean 'judges'" in told
    results.answers_parquet.unlink()
    assert main(["evaluate", str(results.root)]) == 2
    assert "keep_answers" in capsys.readouterr().err


def test_answers_of_a_real_run_reach_the_master_up_to_the_limit_and_are_evaluated(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "10ms", "--gap", "2ms") as server:
        load = {"concurrency": [2], "ramp": 0, "warmup": "200ms", "requests": 20, "drain": "10s", "workers": 2}
        with sweep(tmp_path, run_file(tmp_path, {"a": server.url}, load,
                                      keep_answers={"total": "4KiB"})) as run:
            assert run.wait() == 0, run.output()
    results = run.results
    for path in results.journal.glob("*.log"):
        if not path.name.startswith("master-"):
            path.unlink()  # as if the workers were on other hosts
    for path in [*results.records.glob("*.parquet"), results.answers_parquet]:
        path.unlink()
    records = run.records()
    assert not records
    found = evaluated(results)
    rows = pq.read_table(results.answers_parquet).to_pylist()
    kept = {row["request_id"] for row in rows}
    assert kept < ids(run.records()) and 0 < sum(len(row["text"]) for row in rows) < 4096
    assert "Not all answers were kept" in pages(results)
    assert not any(stage["marks"] for stage in run.stages())  # the measurement is as good as any
    assert found["quality"][0]["answers"] == len(rows) and found["quality"][0]["correct"] is None
