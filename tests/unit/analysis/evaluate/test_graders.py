"""Answers to questions of known forms: what counts as right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmload_analysis.evaluate.graders import grader_of, passes, same_choice, same_number


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


def test_code_is_run_only_where_the_run_file_says_so() -> None:
    assert grader_of({"source": "humaneval"}) is None
    assert grader_of({"source": "humaneval", "run_code": True}) is passes
    assert grader_of({"source": "gsm8k"}) is same_number and grader_of({"source": "mmlu_pro"}) is same_choice


def test_other_prompts_are_judged_by_exact_match() -> None:
    grade = grader_of({"source": "jsonl"})
    assert grade is not None and grade("The Paris!", "paris") and not grade("London", "paris")
