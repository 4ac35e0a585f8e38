"""Whether an answer to a question of a known form is right: GSM8K's number, MMLU-Pro's letter, HumanEval's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fmload_analysis.evaluate.cases import Case
from fmload_analysis.evaluate.code import passes
from fmload_analysis.evaluate.letters import letter_of
from fmload_analysis.evaluate.numbers import number_of, value
from fmload_analysis.evaluate.scores import best, exact_match

Grader = Callable[[str, str], float]  # answer, ground truth: 1 where it is right, else 0


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes an answer right: `by` names it (`exact_match`, `number`, `letter`, `tests`). `truth_is_text`: scores
    of texts say something, too; the truth of code is its tests."""

    by: str
    grader: Grader
    truth_is_text: bool = True

    def share(self, case: Case) -> float:
        """1 where the answer is right by any of its ground truths, else 0. One that was cut off is right where it is a
        ground truth and no more: what would have followed is not known."""
        return best(exact_match if case.cut_off else self.grader, case.answer, case.references)

    def judges(self, case: Case) -> bool:
        """Whether it can be told: there is a ground truth, and the answer was kept whole."""
        return bool(case.references) and case.whole


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
    """The number that the answer ends with is the ground truth's: `numbers.number_of`."""
    said = number_of(answer)
    return said is not None and said == value(truth)


def same_choice(answer: str, truth: str) -> bool:
    """The letter that the answer chooses is the ground truth's: `letters.letter_of`."""
    return letter_of(answer) == truth.strip().upper()


EXACT = Rule("exact_match", exact_match)
_RULES: Mapping[str, Rule] = {"gsm8k": Rule("number", same_number), "mmlu_pro": Rule("letter", same_choice)}

