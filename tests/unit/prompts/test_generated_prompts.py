"""Prompts that are invented: exact lengths, seeded, unique; what each source promises beyond that."""

from __future__ import annotations

import itertools
import random
import statistics
from typing import Any

import pytest
from fake_tokenizer import ThreeLetters
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload.config.lengths import Distribution
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.plugins import SOURCES
from fmload.prompts import selection, words
from fmload.prompts.lengths import draw_length
from fmload.prompts.selection import make_set
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer

BUNDLED = Tokenizer.load("bundled")
TOKENIZERS = st.sampled_from([BUNDLED, ThreeLetters()])


def made(source: str, count: int = 20, seed: str = "7/set", tokenizer: Tokenizer = BUNDLED,
         **options: Any) -> list[Prompt]:
    spec = PromptSpec.model_validate({"name": "set", "source": source, **options})
    return make_set(spec, SOURCES.load(source).from_spec(spec), tokenizer, seed, count, lambda *news: None)


@settings(max_examples=40)
@given(st.integers(1, 400), st.integers(), TOKENIZERS)
def test_a_text_has_exactly_the_length_asked_for(length: int, seed: int, tokenizer: Tokenizer) -> None:
    text = text_of(length, tokenizer.count, random.Random(seed))
    assert len(tokenizer.encode(text)) == length


@settings(max_examples=40)
@given(st.integers(30, 300), st.integers(), TOKENIZERS)
def test_decoding_and_encoding_again_does_not_change_the_length(length: int, seed: int, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(text_of(length, tokenizer.count, random.Random(seed)))
    assert len(tokenizer.encode(tokenizer.decode(ids))) == length


@settings(max_examples=20)
@given(st.integers(20, 300), TOKENIZERS)
def test_with_count_template_the_whole_chat_has_the_length(length: int, tokenizer: Tokenizer) -> None:
    for prompt in made("synthetic", 3, tokenizer=tokenizer, input_tokens=length, count_template=True):
        assert tokenizer.chat_count(prompt.as_messages()) == length == prompt.input_tokens


def test_a_length_below_the_template_is_refused() -> None:
    with pytest.raises(FmloadError, match="exactly 3 tokens"):
        made("synthetic", input_tokens=3, count_template=True)


@pytest.mark.parametrize(("source", "options"), [
    ("synthetic", {"input_tokens": {"mean": 80, "stddev": 30}}),
    ("random", {"input_tokens": {"mean": 80, "stddev": 30}}),
    ("fixed", {}),
    ("shared_prefix", {"prefix_tokens": 40, "input_tokens": 20}),
    ("conversation", {"turns": 3, "input_tokens": 20, "answer_tokens": 30}),
])
def test_the_seed_decides_everything_and_prompts_are_unique(source: str, options: dict[str, Any]) -> None:
    first, again, other = (made(source, 30, seed, nonce=False, **options) for seed in ("1/set", "1/set", "2/set"))
    assert first == again
    assert first != other
    assert len({str((prompt.text, prompt.messages)) for prompt in first}) == 30


@pytest.mark.parametrize(("source", "options"), [
    ("synthetic", {"input_tokens": {"min": 5, "max": 90}}), ("random", {"input_tokens": {"min": 1, "max": 90}}),
    ("fixed", {"lengths": [5, 25, 50]}), ("shared_prefix", {"prefix_tokens": 40, "input_tokens": 20}),
    ("conversation", {"turns": 2, "input_tokens": 9, "answer_tokens": 9})])
def test_the_counts_that_prompts_bear_are_true(source: str, options: dict[str, Any]) -> None:
    for prompt in made(source, 40, **options):
        counted = BUNDLED.chat_count(prompt.messages) if prompt.messages else BUNDLED.count(prompt.text or "")
        assert prompt.input_tokens == counted
        assert prompt.tokenizer == "bundled"


def test_more_prompts_begin_with_the_same_ones() -> None:
    few, many = made("synthetic", 10, input_tokens=30, nonce=False), made("synthetic", 25, input_tokens=30, nonce=False)
    assert many[:10] == few


def test_too_short_to_be_different_is_refused_and_allowed_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_FRUITLESS", 50)
    with pytest.raises(FmloadError, match="different prompts can be made, not 1000") as raised:
        made("synthetic", 1000, input_tokens=1)
    assert "unique: false" in str(raised.value.hint)
    assert len(made("synthetic", 1000, input_tokens=1, unique=False)) == 1000


def test_fixed_lengths_come_in_turn_and_are_those_of_llama_recipes() -> None:
    assert [prompt.input_tokens for prompt in made("fixed", 8)] == [5, 25, 50, 100, 500, 1000, 2000, 5]


def test_output_lengths_are_drawn_by_the_seed_and_within_bounds() -> None:
    asked = [prompt.output_tokens for prompt in
             made("synthetic", 60, input_tokens=20, output_tokens={"mean": 50, "stddev": 20, "min": 10, "max": 90})]
    assert all(length is not None and 10 <= length <= 90 for length in asked)
    assert len(set(asked)) > 10


@pytest.mark.parametrize(("source", "options"), [
    ("synthetic", {"input_tokens": 40}), ("random", {"input_tokens": 40}), ("fixed", {"lengths": [40]})])
def test_texts_made_up_at_random_begin_as_none_of_an_earlier_run_unless_that_is_asked_for(
        source: str, options: dict[str, Any]) -> None:
    first, again = ([prompt.text or "" for prompt in made(source, 5, **options)] for _ in range(2))
    assert not {text[:16] for text in first} & {text[:16] for text in again}
    first, again = ([prompt.text for prompt in made(source, 5, nonce=False, **options)] for _ in range(2))
    assert first == again


def test_prefixes_that_are_shared_on_purpose_bear_no_mark() -> None:
    options = {"prefix_tokens": 40, "input_tokens": 20, "prefixes": 1, "share": 1.0}
    first, again = ([prompt.text for prompt in made("shared_prefix", 5, **options)] for _ in range(2))
    assert first == again


def test_a_nonce_begins_every_prompt_differs_each_time_and_counts() -> None:
    first, again = (made("synthetic", 5, input_tokens=40, nonce=True) for _ in range(2))
    heads = {(prompt.text or "")[:14] for prompt in [*first, *again]}
    assert len(heads) == 10
    assert all(BUNDLED.count(prompt.text or "") == 40 for prompt in first)


def test_shared_prefixes_are_as_many_and_as_frequent_as_asked() -> None:
    prompts = made("shared_prefix", 400, prefix_tokens=30, prefixes=3, share=0.5, input_tokens=10)
    heads = [prompt.text[:60] for prompt in prompts if prompt.text]
    repeated = [head for head in heads if heads.count(head) > 1]
    assert len(set(repeated)) == 3
    assert 0.4 < len(repeated) / 400 < 0.6


def test_a_prefix_is_whole_in_every_prompt_that_has_it() -> None:
    prompts = made("shared_prefix", 10, prefix_tokens=50, input_tokens=10)
    common = BUNDLED.encode(prompts[0].text or "")[:50]
    assert all(BUNDLED.encode(prompt.text or "")[:50] == common for prompt in prompts)


def test_a_conversation_grows_and_every_turn_begins_with_the_one_before() -> None:
    prompts = made("conversation", 9, turns=3, input_tokens=10, answer_tokens=15, system_tokens=12, think="2s")
    assert [prompt.turn for prompt in prompts] == [0, 1, 2] * 3
    assert len({prompt.conversation for prompt in prompts}) == 3
    for before, after in itertools.pairwise(prompts):
        if after.turn:
            assert after.messages is not None
            assert before.messages is not None
            assert after.messages[:len(before.messages)] == before.messages
            assert after.think_s > 0
            assert (after.input_tokens or 0) == (before.input_tokens or 0) + 10 + 15 + 2 * 4
        else:
            assert after.think_s == 0


def test_a_fixed_think_time_is_that_time() -> None:
    prompts = made("conversation", 4, turns=2, input_tokens=5, answer_tokens=5, think="2s", think_kind="fixed")
    assert [prompt.think_s for prompt in prompts] == [0, 2, 0, 2]


def test_random_tokens_are_not_sentences() -> None:
    known = {word.lower() for kind in words.classes().values() for word in kind}

    def share_of_words(source: str) -> float:
        text = made(source, 1, input_tokens=300, nonce=False)[0].text or ""
        return statistics.fmean(word.strip(".,;?").lower() in known for word in text.split())

    assert share_of_words("synthetic") == 1
    assert share_of_words("random") < 0.7


@pytest.mark.parametrize(("given_as", "mean", "stddev"), [
    ({"mean": 550, "stddev": 150}, 550, 150), ({"kind": "lognormal", "mean": 550, "stddev": 300}, 550, 300),
    ({"min": 100, "max": 500}, 300, 115.8), ({"mean": 40, "kind": "fixed"}, 40, 0)])
def test_drawn_lengths_have_the_mean_and_spread_asked_for(given_as: dict[str, Any], mean: float, stddev: float) -> None:
    distribution = Distribution.model_validate(given_as)
    draw = random.Random(3)
    lengths = [draw_length(distribution, draw) for _ in range(20_000)]
    assert statistics.fmean(lengths) == pytest.approx(mean, rel=0.02)
    assert statistics.pstdev(lengths) == pytest.approx(stddev, rel=0.05, abs=0.01)


@given(st.integers(1, 50), st.integers(0, 50), st.floats(0.5, 500), st.floats(0, 500), st.integers())
def test_a_length_is_never_outside_its_bounds(least: int, span: int, mean: float, stddev: float, seed: int) -> None:
    distribution = Distribution(mean=mean, stddev=stddev, min=least, max=least + span)
    assert least <= draw_length(distribution, random.Random(seed)) <= least + span


def test_exact_output_is_for_the_prompts_that_have_a_length_and_needs_one() -> None:
    prompts = made("synthetic", 5, input_tokens=20, output_tokens={"min": 3, "max": 9}, exact_output=True)
    assert all(prompt.exact_output and prompt.output_tokens for prompt in prompts)
    with pytest.raises(FmloadError, match="no prompt says how long its answer is to be"):
        made("synthetic", 5, input_tokens=20, exact_output=True)
