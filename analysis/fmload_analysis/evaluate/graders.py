"""Whether an answer to a question of a known form is right: GSM8K's number, MMLU-Pro's letter, HumanEval's tests."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from fmload_analysis.evaluate.scores import exact_match

Grader = Callable[[str, str], bool]  # answer, ground truth
_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")
_CODE = re.compile(r"```(?:python|py)?\s*\n(.*?)```", re.DOTALL)
_CHOICE = re.compile(r"answer is:?\s*\**\(?([A-Z])\)?(?![a-z])", re.IGNORECASE)
_LONE = re.compile(r"\(([A-Z])\)|\b([B-HJ-Z])\b")  # A and I are words
_LIMIT_S, _MEMORY = 10, 1 << 30


def grader_of(prompts: Mapping[str, Any]) -> Grader | None:
    """How the answers to a prompt set (its entry in the run file) are judged; None where they cannot be: code that
    nobody allowed to be run."""
    if prompts.get("source") == "humaneval":
        return passes if prompts.get("run_code") else None
    return _GRADERS.get(str(prompts.get("source")), _same)


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
    folder, with limits of time, memory, files and processes. It is no sandbox: trust the model, or use a container."""
    task = json.loads(truth)
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


def _same(answer: str, truth: str) -> bool:
    return exact_match(answer, truth) == 1


_GRADERS: Mapping[str, Grader] = {"gsm8k": same_number, "mmlu_pro": same_choice}


def _limited() -> None:
    for what, most in ((resource.RLIMIT_CPU, _LIMIT_S), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, 1 << 20),
                       (resource.RLIMIT_NOFILE, 32), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))


def _value(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "").replace("$", "").strip())
    except InvalidOperation:
        return None
