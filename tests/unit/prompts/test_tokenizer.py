"""The bundled tokenizer: real, lossless, and its quick count is its count."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.prompts import words
from fmload.prompts.tokenizer import Tokenizer, bundled_count

BUNDLED = Tokenizer.load("bundled")
TEXT = st.text(st.characters(codec="utf-8")) | st.text("ab '\t\r\n 019.,-_é日🙂\x00\x85\u2028", max_size=60)


@given(TEXT)
def test_the_quick_count_is_the_number_of_ids(text: str) -> None:
    assert bundled_count(text) == len(BUNDLED.encode(text))


@given(TEXT)
def test_decoding_gives_the_text_back(text: str) -> None:
    assert BUNDLED.decode(BUNDLED.encode(text)) == text


@given(st.lists(TEXT, max_size=4))
def test_a_chat_costs_its_texts_and_four_a_message_and_three(texts: list[str]) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    assert BUNDLED.chat_count(messages) == sum(map(bundled_count, texts)) + 4 * len(texts) + 3


def test_parts_that_are_not_text_are_not_counted() -> None:
    parts = [{"type": "text", "text": "one two"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert BUNDLED.chat_count([{"role": "user", "content": parts}]) == bundled_count("one two") + 7


def test_english_takes_between_one_and_one_and_a_half_tokens_a_word() -> None:
    drawn = list(itertools.islice(words.stream(random.Random(1)), 2000))
    assert 1.0 <= bundled_count(" ".join(drawn)) / len(drawn) <= 1.5


def test_counts_stay_right_when_the_cache_of_pieces_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmload.prompts.tokenizer._CACHED_PIECES", 3)
    text = "the quick brown fox jumps over the lazy dog"
    assert bundled_count(text) == bundled_count(text) == len(BUNDLED.encode(text))


def test_identity_is_the_same_for_the_same_tokenizer() -> None:
    assert BUNDLED.identity == type(BUNDLED)().identity


def test_plain_ids_are_printable_text_without_special_tokens() -> None:
    assert len(BUNDLED.plain_ids) > 3000
    assert all(BUNDLED.decode([token]).isprintable() for token in BUNDLED.plain_ids)


def test_every_class_of_words_that_the_grammar_names_is_there() -> None:
    assert all(words.classes()[kind] for clause in words._CLAUSES for kind in clause.split())
