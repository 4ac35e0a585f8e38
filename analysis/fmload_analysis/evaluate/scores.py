"""Scores of an answer against a ground truth: functions of two texts, from 0 (nothing in common) to 1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from fmload.base.errors import FmloadError

Score = Callable[[str, str], float]  # answer, ground truth
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def best(score: Score, answer: str, references: Sequence[str]) -> float:
    """The score against the ground truth that suits the answer best (SQuAD's rule for several of them)."""
    return max(score(answer, reference) for reference in references)


def normalized(text: str) -> str:
    """SQuAD's normalisation: lower case, no ASCII punctuation, no English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, reference: str) -> float:
    """1 when both are the same after SQuAD's normalisation, else 0."""
    return float(normalized(answer) == normalized(reference))


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall over the words after SQuAD's normalisation, repeated words counted.

    Where either has no words left: 1 if neither has, else 0.
    """
    said, wanted = normalized(answer).split(), normalized(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    common = (Counter(said) & Counter(wanted)).total()
    return 2 * common / (len(said) + len(wanted))


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L's F-measure (longest common subsequence of words, no stemming), by Google's rouge-score.

    Its words are runs of a–z and 0–9: texts in other scripts score 0.
    """
    return float(_rouge().score(reference, answer)["rougeL"].fmeasure)


def levenshtein(answer: str, reference: str) -> float:
    """1 − edit distance ÷ length of the longer text, over characters."""
    similarity: float = _rapidfuzz().distance.Levenshtein.normalized_similarity(answer.strip(), reference.strip())
    return similarity


def word_accuracy(answer: str, reference: str) -> float:
    """1 − word error rate (insertions, deletions and substitutions ÷ words of the ground truth), of transcripts; 0
    where that is above 1. Lower case, no ASCII punctuation. Where the ground truth has no words: 1 if the answer has
    none."""
    said, wanted = (text.lower().translate(_PUNCTUATION).split() for text in (answer, reference))
    if not wanted:
        return float(not said)
    errors: int = _rapidfuzz().distance.Levenshtein.distance(said, wanted)
    return max(0.0, 1 - errors / len(wanted))


def token_set(answer: str, reference: str) -> float:
    """rapidfuzz's token set ratio ÷ 100: 1 when the words of one text are all in the other."""
    library = _rapidfuzz()
    ratio: float = library.fuzz.token_set_ratio(answer, reference, processor=library.utils.default_process)
    return ratio / 100


@cache
def _rouge() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise _missing("rouge-score") from error
    return RougeScorer(["rougeL"])


@cache
def _rapidfuzz() -> Any:
    try:
        import rapidfuzz
        import rapidfuzz.distance
        import rapidfuzz.fuzz
        import rapidfuzz.utils
    except ImportError as error:
        raise _missing("rapidfuzz") from error
    return rapidfuzz


def _missing(package: str) -> FmloadError:
    return FmloadError(f"{package} is not installed", hint="pip install 'fmload[evaluate]'")
