from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.plugins import SCORES
from fmload_analysis.evaluate.scores import (
    best,
    exact_match,
    levenshtein,
    normalized,
    rouge_l,
    token_f1,
    token_set,
    word_accuracy,
)


def test_squad_normalisation_drops_case_punctuation_articles_and_spaces() -> None:
    assert normalized("  The Cat, an  owl & A-team! ") == "cat owl ateam"


@pytest.mark.parametrize(("answer", "reference", "score"), [
    ("The Eiffel Tower.", "eiffel tower", 1.0), ("Eiffel", "eiffel tower", 0.0), ("", "the", 1.0)])
def test_exact_match_is_of_the_normalised_texts(answer: str, reference: str, score: float) -> None:
    assert exact_match(answer, reference) == score


def test_token_f1_counts_repeated_words() -> None:
    # cat sat on mat / cat sat: precision 2/4, recall 2/2
    assert token_f1("The cat sat on a mat", "a cat sat") == pytest.approx(2 / 3)
    # no no no / no yes: precision 1/3, recall 1/2
    assert token_f1("no no no", "no yes") == pytest.approx(0.4)
    assert (token_f1("the", "yes"), token_f1("the", "a")) == (0.0, 1.0)


def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence() -> None:
    # 6 words in common order: precision 6/7, recall 6/6
    assert rouge_l("the cat was found under the bed", "the cat was under the bed") == pytest.approx(12 / 13)
    assert rouge_l("bed the under", "under the bed") == pytest.approx(1 / 3)


def test_levenshtein_is_one_less_the_distance_over_the_longer_length() -> None:
    assert levenshtein("kitten", " sitting\n") == pytest.approx(1 - 3 / 7)


def test_token_set_ignores_order_repetition_and_what_surrounds_the_reference() -> None:
    assert token_set("It was Paris, France; Paris!", "france paris") == 1.0
    assert token_set("abc", "xyz") == 0.0


def test_word_accuracy_is_one_less_the_word_error_rate() -> None:
    # sat for sit, and "down" too many: 2 errors over 4 words
    assert word_accuracy("The cat sit here, down", "the cat sat here") == pytest.approx(0.5)
    assert (word_accuracy("a b c d", "x"), word_accuracy("", ""), word_accuracy("x", "")) == (0.0, 1.0, 0.0)


def test_the_best_of_several_references_counts() -> None:
    assert best(exact_match, "NYC", ("New York", "NYC")) == 1.0


@settings(max_examples=40)
@given(st.text(max_size=40), st.text(max_size=40))
def test_every_score_lies_between_nothing_and_one(answer: str, reference: str) -> None:
    assert all(0.0 <= SCORES.load(name)(answer, reference) <= 1.0 for name in SCORES)


@settings(max_examples=40)
@given(st.text(alphabet="abc de", max_size=30).filter(normalized))
def test_every_score_of_the_reference_itself_is_one(text: str) -> None:
    assert all(SCORES.load(name)(text, text) == pytest.approx(1.0) for name in SCORES)
