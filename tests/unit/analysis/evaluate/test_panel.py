from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload_analysis.evaluate.cases import Case, one_each, read_references
from fmload_analysis.evaluate.evaluation import evaluate
from fmload_analysis.evaluate.ledger import Entry
from fmload_analysis.evaluate.panel import JudgesFile, Panel, load_judges, pairs_of

CASE = Case("a", "qa", "qa-0", 0, "What is 1 + 1?", "2", ("2",))
OTHER = replace(CASE, endpoint="b", prompt_id="qa-t1-0", answer="{{ 3 }} {% raw %}")


def panel(*names: str, **keys: object) -> Panel:
    judges = [{"name": name, "protocol": "openai", "url": "http://127.0.0.1:1", "model": "m"} for name in names]
    return Panel(JudgesFile.model_validate({"judges": judges, **keys}))


def test_answers_are_put_into_the_rubric_as_they_are() -> None:
    text = panel("j").grade("j", OTHER).text
    assert OTHER.answer in text and OTHER.question in text and "<reference>\n2\n</reference>" in text
    assert "<reference>" not in panel("j").grade("j", replace(CASE, references=())).text


def test_a_rubric_of_its_own_for_a_prompt_set(tmp_path: Path) -> None:
    own = tmp_path / "own.j2"
    own.write_text("{{ answer }}?")
    mine = panel("j", rubrics={"qa": str(own)})
    assert mine.grade("j", CASE).text == "2?"
    assert mine.grade("j", replace(CASE, prompt_set="x")).text != "2?"
    own.write_text("{{ anwser }}")
    with pytest.raises(FmloadError, match="anwser"):
        panel("j", rubrics={"default": str(own)}).grade("j", CASE)
    with pytest.raises(FmloadError, match=r"none\.j2"):
        panel("j", comparison=str(tmp_path / "none.j2"))


def test_a_question_is_asked_once_and_another_judge_or_answer_makes_another() -> None:
    two = panel("j", "k")
    assert two.grade("j", CASE) == two.grade("j", replace(CASE, endpoint="b"))
    keys = {two.grade("j", CASE).key, two.grade("k", CASE).key, two.grade("j", OTHER).key}
    assert len(keys) == 3
    # Two judges, two answers, both orders: 2 · 2 grades and 2 · 2 comparisons.
    assert len(two.questions([CASE, OTHER])) == 8
    assert len(panel("j", "k", compare=False).questions([CASE, OTHER])) == 4


def test_endpoints_are_compared_on_the_same_question_and_not_on_equal_answers() -> None:
    pair, = pairs_of([OTHER, CASE])
    assert (pair.first.endpoint, pair.second.endpoint, pair.same) == ("a", "b", False)
    assert pairs_of([CASE, replace(OTHER, question="another")]) == []
    assert len(panel("j").questions([CASE, replace(CASE, endpoint="b")])) == 1


def test_judges_see_the_first_answer_of_an_endpoint_to_a_question() -> None:
    assert one_each([CASE, replace(CASE, stage=1, answer="4")]) == [CASE]


def test_judges_see_all_endpoints_and_prompt_sets_before_the_next_question() -> None:
    cases = [replace(CASE, endpoint=endpoint, prompt_set=prompt_set, question=question, stage=stage)
             for stage, endpoint in enumerate("ab") for prompt_set in ("p", "q") for question in "12"]
    seen = [(case.question, case.prompt_set, case.endpoint) for case in one_each(cases)]
    assert seen[:4] == [("1", "p", "a"), ("1", "q", "a"), ("1", "p", "b"), ("1", "q", "b")]
    assert {question for question, _, _ in seen[4:]} == {"2"}


def test_each_prompt_counts_once_however_often_it_was_answered() -> None:
    cases = [CASE, CASE, CASE, replace(CASE, answer="3"), replace(CASE, question="q2", answer="no")]
    group, = evaluate(cases)["quality"]
    assert (group["answers"], group["prompts"]) == (5, 2)
    assert group["correct"]["share"] == pytest.approx((3 / 4 + 0) / 2)


def test_an_answer_without_verdicts_is_left_out_and_a_tie_is_undecided() -> None:
    two = panel("j", "k", compare=False)
    cases = [CASE, replace(CASE, question="q2"), replace(CASE, question="q3")]

    def entry(judge: str, case: Case, choice: str) -> tuple[str, Entry]:
        key = two.grade(judge, case).key
        return key, Entry(key, judge, "grade", "ok", choice)

    entries = dict([entry("j", cases[0], "correct"), entry("k", cases[0], "incorrect"),
                    entry("j", cases[1], "correct")])
    correct = evaluate(cases, two, entries)["quality"][0]["correct"]
    assert (correct["n"], correct["correct"], correct["undecided"], correct["share"]) == (2, 1, 1, 0.5)


def test_ground_truths_are_one_text_or_several_and_wrong_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "truths.jsonl"
    lines = [{"prompt_set": "qa", "prompt_id": "1", "reference": "x"},
             {"prompt_set": "qa", "prompt_id": "2", "reference": ["y", "z"]}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert dict(read_references(path)) == {("qa", "1"): ("x",), ("qa", "2"): ("y", "z")}
    for wrong in ('{"prompt_set": "qa", "prompt_id": "3"}', "[]", "{",
                  '{"prompt_set": 1, "prompt_id": "", "reference": ""}'):
        path.write_text(json.dumps(lines[0]) + "\n" + wrong)
        with pytest.raises(FmloadError, match=r"truths\.jsonl:2"):
            list(read_references(path))


def test_ground_truths_may_hold_any_letter_and_are_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "truths.jsonl"
    path.write_text('{"prompt_set": "qa", "prompt_id": "1", "reference": "a\u2028b"}\n', encoding="utf-8")
    assert dict(read_references(path)) == {("qa", "1"): ("a\u2028b",)}
    path.write_bytes(b'{"prompt_set": "qa", "prompt_id": "1", "reference": "caf\xe9"}')
    with pytest.raises(FmloadError, match=r"truths\.jsonl:1: not UTF-8"):
        list(read_references(path))


def test_a_judges_file_is_checked_like_a_run_file(tmp_path: Path) -> None:
    path = tmp_path / "judges.yml"
    judge = "{name: a, protocol: openai, url: 'http://h'}"
    path.write_text(f"judges:\n  - {judge}\n  - {judge}\nbackoff: 3\n")
    with pytest.raises(FmloadError) as told:
        load_judges(path)
    assert "judges.yml:3: judges[1].name: 'a' names an earlier judge" in str(told.value)
    assert "judges.yml:4: backoff: 3 has no unit" in str(told.value)
