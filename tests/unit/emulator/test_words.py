"""Tokens that the server counts are those that the client counts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.emulator.dialect import Ask
from fmload.emulator.prefix import PrefixCache
from fmload.emulator.words import of_tokenizer
from fmload.prompts.tokenizer import BUNDLED, Tokenizer


def test_every_word_of_an_answer_is_one_token_under_the_bundled_tokenizer() -> None:
    words, tokenizer = of_tokenizer(None), Tokenizer.load(BUNDLED)
    for length in (1, 2, 150, 3000):
        assert len(tokenizer.encode("".join(map(words.text, range(length))))) == length


@settings(max_examples=40)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_a_chat_costs_what_the_client_counts(texts: list[str]) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    assert of_tokenizer(None).prompt_tokens(Ask(texts, chat=True)) == Tokenizer.load(BUNDLED).chat_count(messages)


def test_a_plain_prompt_costs_its_text() -> None:
    text = "How many tokens has this?"
    assert of_tokenizer(None).prompt_tokens(Ask([text])) == Tokenizer.load(BUNDLED).count(text)


def test_a_prompt_seen_before_is_cached_but_for_its_last_block() -> None:
    cache, prompt = PrefixCache(), "".join(chr(97 + i % 26) for i in range(640))
    assert cache.cached_tokens(prompt, 160) == 0
    assert cache.cached_tokens(prompt, 160) == 144
    assert cache.cached_tokens(prompt[:320] + "#" * 320, 160) == 80  # the first half is shared
    assert cache.cached_tokens("#" + prompt, 160) == 0


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    cache = PrefixCache(blocks=4)
    for letter in "abc":
        cache.cached_tokens(letter * 128, 64)
    assert cache.cached_tokens("a" * 128, 64) == 0
