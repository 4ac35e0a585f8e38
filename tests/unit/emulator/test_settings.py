"""The command line of the emulator."""

from __future__ import annotations

import argparse

import pytest

from fmload.base.errors import FmloadError
from fmload.emulator.settings import Settings, add_arguments, from_arguments, parse_shape
from fmload.emulator.shape import Shape


def settings(*options: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return from_arguments(parser.parse_args(options))


def test_steady_times_are_options() -> None:
    profile = settings("--ttft", "150ms", "--gap", "0").profile
    assert (profile.ttft_s, profile.gap_s) == (0.15, 0.0)


def test_fixed_times_do_not_go_with_an_engine() -> None:
    with pytest.raises(FmloadError, match="whose model makes the times"):
        settings("--profile", "llama3-8b-inf2.xlarge", "--gap", "20ms")


def test_fixed_times_have_no_queue() -> None:
    with pytest.raises(FmloadError, match="no queue"):
        settings("--max-waiting", "3")


def test_an_unknown_profile_gets_a_suggestion() -> None:
    with pytest.raises(FmloadError, match=r"did you mean 'llama3-8b-inf2.xlarge'"):
        settings("--profile", "llama3-8b-inf2.xlrge")


def test_the_queue_is_an_option_of_every_engine() -> None:
    model = settings("--profile", "llama3-8b-inf2.xlarge", "--max-waiting", "0", "--queue-timeout", "5s").profile.model
    assert model is not None
    assert (model.max_waiting, model.queue_timeout_s) == (0, 5.0)


def test_a_shape_is_written_as_key_and_value() -> None:
    assert parse_shape("role=early,tokens_per_chunk=4,done=0,delay=30ms,part_bytes=7") == Shape(
        role="early", tokens_per_chunk=4, done=False, delay_s=0.03, part_bytes=7)


@pytest.mark.parametrize(("text", "word"), [("rol=early", "role"), ("role=soon", "early"), ("delay=3", "duration"),
                                            ("coalesce=x", "x"), ("part_bytes=-1", "negative")])
def test_a_shape_that_is_not_understood_is_named(text: str, word: str) -> None:
    with pytest.raises(FmloadError, match=word):
        parse_shape(text)


def test_answers_may_end_by_themselves() -> None:
    assert settings("--natural-tokens", "80,10").natural_tokens == (80.0, 10.0)
    with pytest.raises(FmloadError, match="natural-tokens"):
        settings("--natural-tokens", "many")
