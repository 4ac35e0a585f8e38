"""Answers to questions of known forms: what counts as right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmload_analysis.evaluate.graders import EXACT, Rules, passes, rule_for, rules_of, same_choice, same_number


@pytest.mark.parametrize(("answer", "truth", "right"), [
    ("2 + 2 = 4\n#### 4", "4", True), ("so 1,250 dollars.\n#### $1,250", "1250", True), ("#### 4.0", "4", True),
    ("the answer is 42.", "42", True), ("first 41, then 42", "42", True), ("42 apples of 50", "42", False),
    ("#### -3", "-3", True), ("#### 3", "-3", False), ("I do not know", "42", False), ("", "42", False),
    ("#### 72 clips, of 100", "72", True), ("#### none\n7", "7", True), ("4", "not a number", False)])
def test_of_a_word_problem_the_last_number_counts_and_that_behind_the_mark_before_others(
        answer: str, truth: str, right: bool) -> None:
    assert same_number(answer, truth) is right


@pytest.mark.parametrize(("answer", "truth", "right"), [
    ("Thinking… The answer is (C).", "C", True), ("the answer is: **B**", "B", True), ("The answer is C", "D", False),
    ("C", "C", True), ("(J)", "J", True), ("first (A), no: (B)", "B", True), ("A. Paris", "A", True),
    ("The answer is (A). No, the answer is (B).", "B", True), ("I think that a lot", "A", False), ("", "A", False)])
def test_of_options_the_letter_that_is_named_last_counts(answer: str, truth: str, right: bool) -> None:
    assert same_choice(answer, truth) is right


TASK = json.dumps({"prompt": "def twice(n):\n    \"\"\"2 n.\"\"\"\n", "entry_point": "twice",
                   "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-1) == -2\n"})


@pytest.mark.parametrize(("answer", "right"), [
    ("```python\ndef twice(n):\n    return 2 * n\n```", True), ("    return n + n\n", True),
    ("Sure:\n```python\ndef twice(n):\n    return n ** 2\n```", False), ("def twice(n:\n", False),
    ("```python\ndef twice(n):\n    while True: pass\n```", False),
    ("```python\ndef twice(n):\n    return [0] * 10**10\n```", False),
    ("```python\ndef twice(n):\n    import sys; sys.exit(1)\n```", False), ("", False)])
def test_code_is_right_when_it_passes_its_tests(answer: str, right: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmload_analysis.evaluate.graders._LIMIT_S", 5)
    assert passes(answer, TASK) is right


def test_code_finds_no_environment_and_writes_nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "hush")
    monkeypatch.chdir(tmp_path)
    code = ("def twice(n):\n    import os\n    open('mine', 'w').close()\n"
            "    return 4 if 'A_SECRET' in os.environ else 2 * n\n")
    task = json.dumps({**json.loads(TASK), "test": "def check(candidate):\n    assert candidate(3) == 6\n"})
    assert passes(code, task) and not (tmp_path / "mine").exists()


def judged_by(rules: Rules) -> dict[str, str | None]:
    return {name: rule and rule.by for name, rule in rules.items()}


def test_code_is_run_only_where_the_run_file_or_the_command_says_so() -> None:
    entries = [{"name": "a", "source": "humaneval"}, {"name": "b", "source": "humaneval", "run_code": True}]
    assert judged_by(rules_of(entries)) == {"a": None, "b": "tests"}
    assert judged_by(rules_of(entries, run_code=True)) == {"a": "tests", "b": "tests"}


def test_each_prompt_set_is_judged_by_the_rule_of_its_source_others_by_exact_match() -> None:
    rules = rules_of([{"name": "a", "source": "gsm8k"}, {"name": "b", "source": "mmlu_pro"}, {"name": "c"}])
    assert judged_by(rules) == {"a": "number", "b": "letter", "c": "exact_match"}
    assert rule_for(rules, "of another run file") is EXACT
    assert EXACT.share("The Paris!", ("London", "paris")) == 1 and EXACT.share("London", ("paris",)) == 0


def test_the_same_code_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("fmload_analysis.evaluate.graders.passes", lambda answer, truth: not ran.append(answer))
    rule = rules_of([{"name": "a", "source": "humaneval", "run_code": True}])["a"]
    assert rule is not None and [rule.share("def f(): 1", ("{}",)) for _ in range(3)] == [1, 1, 1] and len(ran) == 1
