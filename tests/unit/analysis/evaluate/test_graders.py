"""Answers to questions of known forms: what counts as right."""

from __future__ import annotations

import json
import os
import select
from dataclasses import replace
from pathlib import Path

import pytest

from fmload_analysis.evaluate.cases import Case
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


@pytest.mark.parametrize(("answer", "truth", "right"), [
    ("#### 1,000", "1000", True), ("#### $5.00", "5", True), ("#### 5%", "5", True), ("#### $ 5", "5", True),
    ("#### 1/2", "0.5", True), ("#### 1/2", "1", False), ("#### 7 1/2", "7.5", True), ("#### 7½", "7", False),
    ("#### \u22123", "-3", True), ("#### \u22123", "3", False), ("#### -$5", "-5", True), ("10-5=5", "5", True),
    ("$\\boxed{1{,}000}$", "1000", True), ("\\boxed{42}, in 3 steps", "42", True), ("#### -\\$5", "-5", True),
    ("#### \\frac{1}{2}", "0.5", True), ("#### 5 \\times 10^2", "5", False),
    ("...42", "42", True), ("US$5", "5", True), ("42 of H2O", "42", True), ("—42 apples", "42", True),
    ("5km/h", "5", True), ("答案是42個", "42", True), ("2 × 21 = 42", "42", True),
    ("#### Total: \\boxed{42}", "42", True),
    ("#### 1\u202f000", "1000", True), ("#### 1 000", "1000", True), ("#### 1 000", "1", False),
    ("#### 3 + 4 = 7", "7", True), ("#### .5", "0.5", True), ("#### 1e3", "1", False), ("#### 3,5", "35", False),
    ("#### 18-20", "18", False), ("#### 2:30", "2", False), ("#### 4²", "4", False), ("#### 1/0", "0", False),
    ("#### 1e999999999", "1", False), ("9" * 5000, "9", False), ("#### 42\nI am 100% sure.", "42", True),
    ("#### Step 1: add\n#### Step 2: divide\nThe answer is 42.", "42", True), ("#### Step 2: halve it", "42", False),
    ("#### 1. Add\n#### 2. Divide\nSo 42", "2", False), ("#### Answer: 42", "42", True)])
def test_a_number_is_read_as_models_write_it_and_is_no_part_of_another(answer: str, truth: str, right: bool) -> None:
    assert same_number(answer, truth) is right


@pytest.mark.parametrize(("answer", "truth", "right"), [
    ("Answer: A", "A", True), ("**Answer:** A", "A", True), ("The correct option is A", "A", True),
    ("**A**", "A", True), ("$\\boxed{A}$", "A", True), ("\\boxed{\\text{I}}", "I", True), ("So:\n\nA", "A", True),
    ("(c)", "C", True), ("the answer is c.", "C", True), ("the answer is a triangle, so (B)", "B", True),
    ("The answer is (C). Option A is wrong.", "C", True), ("C. Vitamin D", "C", True), ("A man", "A", False),
    ("I would say none", "I", False), ("The answer is (A) or (B).", "A", False), ("The answer is A or B", "B", False),
    ("The answer is C, i.e. the answer is a function", "C", True), ("The answer is A, I am sure", "A", True),
    ("B, since f(x) = 3", "B", True), ("(A) is wrong. So C is right.", "C", True), ("It is A.", "A", True),
    ("答案是C", "C", True)])
def test_a_letter_is_read_as_models_write_it_and_is_no_word(answer: str, truth: str, right: bool) -> None:
    assert same_choice(answer, truth) is right


@pytest.mark.parametrize("source", ["gsm8k", "mmlu_pro", "csv"])
def test_an_answer_that_was_cut_off_is_right_only_where_it_is_the_ground_truth_and_no_more(source: str) -> None:
    rule = rules_of([{"name": "s", "source": source}])["s"]
    truth, long = {"gsm8k": ("41", "first 41"), "mmlu_pro": ("C", "either (C)"), "csv": ("Paris", "Paris or")}[source]

    def share(answer: str) -> float:
        assert rule is not None
        return rule.share(Case("e", "s", "p", 0, "?", answer, (truth,), cut_off=True))

    assert (share(long), share(truth)) == (0, 1)


def test_an_answer_that_was_not_kept_whole_is_not_judged() -> None:
    assert not EXACT.judges(Case("e", "s", "p", 0, "?", "Par", ("Paris",), cut=True, whole=False))
    assert EXACT.judges(Case("e", "s", "p", 0, "?", "Paris", ("Paris",), cut=True))


TASK = json.dumps({"prompt": "def twice(n):\n    \"\"\"2 n.\"\"\"\n", "entry_point": "twice",
                   "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-1) == -2\n"})


@pytest.mark.parametrize(("answer", "right"), [
    ("```python\ndef twice(n):\n    return 2 * n\n```", True), ("    return n + n\n", True),
    ("Sure:\n```python\ndef twice(n):\n    return n ** 2\n```", False), ("def twice(n:\n", False),
    ("```python\ndef twice(n):\n    while True: pass\n```", False),
    ("```python\ndef twice(n):\n    return [0] * 10**10\n```", False),
    ("```python\ndef twice(n):\n    import sys; sys.exit(1)\n```", False), ("", False)])
def test_code_is_right_when_it_passes_its_tests(answer: str, right: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmload_analysis.evaluate.code._LIMIT_S", 5)
    assert passes(answer, TASK) is right


@pytest.mark.parametrize("ending", [
    "import sys\nsys.exit(0)", "import os\nos._exit(0)", "raise SystemExit",
    "import os\nos.execv('/bin/true', ['true'])",
    "import sys\nsys.excepthook = lambda *_: sys.exit(0)\ndef twice(n):\n    return 3",
    "import atexit, os\natexit.register(lambda: os._exit(0))\ndef twice(n):\n    return 3",
    "def twice(n):\n    import sys\n    sys.exit(0)", "def check(candidate):\n    pass\ndef twice(n):\n    return 3",
    "import builtins\nbuiltins.AssertionError = OSError\ndef twice(n):\n    return 3"])
def test_code_that_ends_its_process_before_its_tests_do_has_not_passed(ending: str) -> None:
    assert not passes(f"```python\ndef twice(n):\n    return 2 * n\n{ending}\n```", TASK)


TWICE = "def twice(n):\n    return 2 * n\n"


@pytest.mark.parametrize("answer", [
    f"```python3\n{TWICE}```", f"~~~Python\n{TWICE}~~~", f"```python\n{TWICE}", f"```python\r\n{TWICE}```",
    f"```\n{TWICE}```\nTry it:\n```python\nprint(twice(3))\n```", f"{TWICE}print('x' * 10_000_000)\n",
    f"```python\n{TWICE}\nif __name__ == '__main__':\n    print(twice(int(input())))\n```", "return 2 * n",
    "m = n\n    return 2 * m", "    return twice_of(n)\n\ndef twice_of(n):\n    return 2 * n\n",
    f"{TWICE}import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"])
def test_right_code_passes_however_it_is_wrapped(answer: str) -> None:
    assert passes(answer, TASK)


def test_a_function_finds_the_imports_and_helpers_of_its_task() -> None:
    task = {"prompt": "from typing import List\n\ndef half(n):\n    return n / 2\n\ndef total(ns: List[int]) -> int:\n",
            "entry_point": "total", "test": "def check(candidate):\n    assert candidate([1, 2]) == half(6)\n"}
    assert passes("```python\nfrom __future__ import annotations\ndef total(ns: List[int]):\n    return sum(ns)\n```",
                  json.dumps(task))


def test_what_code_leaves_running_ends_with_it(tmp_path: Path) -> None:
    waiting = tmp_path / "waiting"
    os.mkfifo(waiting)
    held = os.open(waiting, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert passes(f"import subprocess\nsubprocess.Popen(['sleep', '60'], stdout=open({str(waiting)!r}, 'w'))\n"
                      f"{TWICE}", TASK)
        assert select.select([held], [], [], 30)[0] and os.read(held, 1) == b""  # its last writer is gone
    finally:
        os.close(held)


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
    paris = Case("e", "s", "p", 0, "?", "The Paris!", ("London", "paris"))
    assert EXACT.share(paris) == 1 and EXACT.share(replace(paris, answer="Rome")) == 0


def test_the_same_code_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("fmload_analysis.evaluate.graders.passes", lambda answer, truth: not ran.append(answer))
    rule = rules_of([{"name": "a", "source": "humaneval", "run_code": True}])["a"]
    one = Case("e", "a", "p", 0, "?", "def f(): 1", ("{}",))
    assert rule is not None and [rule.share(one) for _ in range(3)] == [1, 1, 1] and len(ran) == 1
