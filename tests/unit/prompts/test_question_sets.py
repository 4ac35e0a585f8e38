"""Files of questions with answers: GSM8K's, MMLU-Pro's and HumanEval's forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.plugins import SOURCES
from fmload.prompts.tokenizer import Tokenizer


def prompts(folder: Path, source: str, *rows: dict[str, Any]) -> list[Prompt]:
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = PromptSpec.model_validate({"name": "q", "source": source, "files": [str(folder / "q.jsonl")],
                                      "shuffle": False})
    made = SOURCES.load(source).from_spec(spec)
    return [prompt for item in made.items("1") for prompt in made.make(item, Tokenizer.load("bundled"), "")]


def test_a_word_problems_truth_is_the_number_behind_the_mark(tmp_path: Path) -> None:
    [one] = prompts(tmp_path, "gsm8k", {"question": "How many?", "answer": "3 × 4 = <<3*4=12>>12\n#### 1,200"})
    assert one.reference == "1,200" and (one.text or "").startswith("How many?\n") and "####" in (one.text or "")


def test_a_word_problem_without_a_number_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=r"q\.jsonl:1: no number behind ####"):
        prompts(tmp_path, "gsm8k", {"question": "How many?", "answer": "twelve"})


def test_options_are_lettered_and_the_truth_is_a_letter(tmp_path: Path) -> None:
    row = {"question": "Which?", "options": ["one", "two", "three"], "answer": "C"}
    by_letter, by_place = prompts(tmp_path, "mmlu_pro", row, {**row, "answer": None, "answer_index": 1})
    assert by_letter.reference == "C" and by_place.reference == "B"
    assert "(A) one\n(B) two\n(C) three" in (by_letter.text or "")


@pytest.mark.parametrize("change", [{"answer": "D"}, {"answer": None}, {"options": ["one"]}, {"options": "one"}])
def test_a_question_whose_answer_is_no_option_is_told_with_its_line(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(FmloadError, match=r"q\.jsonl:1: "):
        prompts(tmp_path, "mmlu_pro", {"question": "Which?", "options": ["one", "two"], "answer": "A", **change})


def test_a_function_to_be_written_brings_its_tests(tmp_path: Path) -> None:
    row = {"task_id": "HumanEval/0", "prompt": "def f(n):\n", "entry_point": "f",
           "canonical_solution": "    return n\n", "test": "def check(candidate):\n    assert candidate(1) == 1\n"}
    [one] = prompts(tmp_path, "humaneval", row)
    assert json.loads(one.reference or "") == {key: row[key] for key in ("prompt", "entry_point", "test")}
    assert "return n" not in (one.text or "") and "def f(n):" in (one.text or "")


def test_a_function_without_a_name_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=r"q\.jsonl:1: entry_point"):
        prompts(tmp_path, "humaneval", {"prompt": "def f(n):\n", "entry_point": "f(); import os", "test": ""})


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="answer"):
        prompts(tmp_path, "gsm8k", {"question": "How many?"})
