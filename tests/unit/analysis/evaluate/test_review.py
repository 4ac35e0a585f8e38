from __future__ import annotations

from dataclasses import replace

from fmload_analysis.evaluate.cases import Case
from fmload_analysis.evaluate.graders import rules_of
from fmload_analysis.evaluate.ledger import Entry
from fmload_analysis.evaluate.panel import JudgesFile, Panel
from fmload_analysis.evaluate.review import reviewed
from fmload_analysis.evaluate.scores import exact_match

CASE = Case("a", "qa", "qa-0", 0, "What is 1 + 1?", "2", ("2", "two"))
JUDGES = [{"name": name, "protocol": "openai", "url": "http://127.0.0.1:1", "model": "m"} for name in ("j", "k", "l")]
PANEL = Panel(JudgesFile.model_validate({"judges": JUDGES}))


def test_an_answer_is_told_with_its_scores_and_what_each_judge_said() -> None:
    entries = {key: Entry(key, judge, "grade", outcome, choice, reason, reply) for judge, outcome, choice, reason, reply
               in (("j", "ok", "incorrect", "not rounded", ""), ("k", "garbage", None, "", "I cannot say"))
               for key in [PANEL.grade(judge, CASE).key]}
    told, = reviewed([CASE], {"exact_match": exact_match}, PANEL, entries)
    assert told["verdict"] == "incorrect" and told["scores"] == {"exact_match": 1.0}
    assert told["judges"] == {"j": {"choice": "incorrect", "outcome": "ok", "told": "not rounded"},
                              "k": {"choice": None, "outcome": "garbage", "told": "I cannot say"}}
    assert (told["question"], told["answer"], told["references"]) == ("What is 1 + 1?", "2", ["2", "two"])


def test_a_tie_is_undecided() -> None:
    entries = {key: Entry(key, judge, "grade", "ok", choice) for judge, choice in (("j", "correct"), ("k", "incorrect"))
               for key in [PANEL.grade(judge, CASE).key]}
    assert [told["verdict"] for told in reviewed([CASE], {}, PANEL, entries)] == ["undecided"]


def test_without_a_vote_a_verdict_is_by_the_ground_truth_alone() -> None:
    cases = [CASE, replace(CASE, answer="3"), replace(CASE, references=())]
    assert [told["verdict"] for told in reviewed(cases, {}, None, {})] == ["correct", "incorrect", None]
    assert [told["scores"] for told in reviewed(cases[2:], {"exact_match": exact_match}, PANEL, {})] == [{}]


def test_a_verdict_without_a_vote_is_by_the_rule_of_the_prompt_set() -> None:
    said = replace(CASE, answer="1 + 1 = 2\n#### 2", references=("2",))

    def verdict(source: str) -> list[str | None]:
        rules = rules_of([{"name": "qa", "source": source}])
        return [told["verdict"] for told in reviewed([said], {}, None, {}, rules)]

    assert (verdict("gsm8k"), verdict("csv"), verdict("humaneval")) == (["correct"], ["incorrect"], [None])


def test_an_answer_that_was_not_kept_whole_has_no_verdict_by_a_ground_truth() -> None:
    told, = reviewed([replace(CASE, cut=True, whole=False)], {}, None, {})
    assert told["verdict"] is None
