"""Whether an answer to a question of a known form is right: GSM8K's number, MMLU-Pro's letter, HumanEval's tests."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from fmload.base.errors import FmloadError
from fmload_analysis.evaluate.scores import best, exact_match

Grader = Callable[[str, str], float]  # answer, ground truth: 1 where it is right, else 0
_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")
_CODE = re.compile(r"```(?:python|py)?\s*\n(.*?)```", re.DOTALL)
_CHOICE = re.compile(r"answer is:?\s*\**\(?([A-Z])\)?(?![a-z])", re.IGNORECASE)
_LONE = re.compile(r"\(([A-Z])\)|\b([B-HJ-Z])\b")  # A and I are words
_LIMIT_S, _MEMORY = 10, 1 << 30


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes an answer right: `by` names it (`exact_match`, `number`, `letter`, `tests`). `truth_is_text`: scores
    of texts say something, too; the truth of code is its tests."""

    by: str
    grader: Grader
    truth_is_text: bool = True

    def share(self, answer: str, references: Iterable[str]) -> float:
        """1 where the answer is right by any of the ground truths, else 0."""
        return best(self.grader, answer, tuple(references))


Rules = Mapping[str, Rule | None]  # by prompt set; None: its answers may not be judged


def rules_of(prompt_sets: Iterable[Mapping[str, Any]], run_code: bool = False) -> Rules:
    """By prompt set (entries of the run file) how its answers are judged; None where they cannot be: code that nobody
    allowed to be run, there or by `run_code`. The same code is run once."""
    return {str(entry["name"]): _rule(entry, run_code) for entry in prompt_sets}


def rule_for(rules: Rules, prompt_set: str) -> Rule | None:
    """The rule of a prompt set; exact match of one that the run file does not name."""
    return rules.get(prompt_set, EXACT)


def _rule(prompts: Mapping[str, Any], run_code: bool) -> Rule | None:
    if prompts.get("source") == "humaneval":
        return Rule("tests", cache(passes), truth_is_text=False) if run_code or prompts.get("run_code") else None
    return _RULES.get(str(prompts.get("source")), EXACT)


def same_number(answer: str, truth: str) -> bool:
    """The number behind the last `####`, else the last number of the answer, is the ground truth's."""
    _, mark, end = answer.rpartition("####")
    found = _NUMBER.findall(end if mark and _NUMBER.search(end) else answer)
    wanted = _value(truth)
    return bool(found) and wanted is not None and _value(found[0 if mark and _NUMBER.search(end) else -1]) == wanted


def same_choice(answer: str, truth: str) -> bool:
    """The letter of the last "the answer is (X)", else the last letter in brackets or alone, is the ground truth's."""
    said = _CHOICE.findall(answer) or [one or other for one, other in _LONE.findall(answer)] or [answer.strip()[:2]]
    return str(said[-1]).strip().rstrip(".)").upper() == truth.strip().upper()


def passes(answer: str, truth: str) -> bool:
    """Whether the code of the answer passes the tests: run in a process of its own, without environment, in an empty
    folder, with limits of time, memory, files and processes. It is no sandbox: trust the model, or use a container.
    Raises FmloadError where the ground truth is no task of HumanEval's form."""
    task = _task(truth)
    blocks = _CODE.findall(answer)
    code = blocks[-1] if blocks else answer
    if f"def {task['entry_point']}" not in code:
        code = task["prompt"] + code
    program = f"{code}\n\n{task['test']}\n\ncheck({task['entry_point']})\n"
    with tempfile.TemporaryDirectory(prefix="fmload-code-") as folder:
        try:
            done = subprocess.run([sys.executable, "-I", "-S", "-"], input=program.encode(errors="replace"), cwd=folder,
                                  env={}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_LIMIT_S,
                                  preexec_fn=_limited, check=False, start_new_session=True)
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


EXACT = Rule("exact_match", exact_match)
_RULES: Mapping[str, Rule] = {"gsm8k": Rule("number", same_number), "mmlu_pro": Rule("letter", same_choice)}


def _task(truth: str) -> Mapping[str, str]:
    try:
        task = json.loads(truth)
        if all(isinstance(task[key], str) for key in ("prompt", "entry_point", "test")):
            return dict(task)
    except (ValueError, TypeError, KeyError):
        pass
    raise FmloadError(f"the ground truth {truth[:60]!r} of an answer in code is no task with prompt, entry_point and "
                      "test", hint="write it as humaneval's rows are, as one JSON text")


def _limited() -> None:
    for what, most in ((resource.RLIMIT_CPU, _LIMIT_S), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, 1 << 20),
                       (resource.RLIMIT_NOFILE, 32), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))


def _value(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "").replace("$", "").strip())
    except InvalidOperation:
        return None
