"""Whether one endpoint is right more often than another, prompt by prompt, over those that both answered. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fmload.statistics.intervals import Interval, wilson

Correct = Mapping[str, float]  # by question: 1 right, 0 wrong, between them the share of several answers
LEAST = 2  # prompts
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """Share correct of `first` minus that of `second`, over the `n` prompts that both answered."""

    prompt_set: str
    first: str
    second: str
    n: int
    difference: float
    interval: Interval


def differences(correct: Mapping[tuple[str, str], Correct]) -> Iterator[Difference]:
    """Every two endpoints on each prompt set, where they share two prompts at least; `correct` by endpoint and set."""
    for prompt_set in dict.fromkeys(prompt_set for _, prompt_set in correct):
        endpoints = sorted(endpoint for endpoint, mine in correct if mine == prompt_set)
        for first, second in combinations(endpoints, 2):
            ours, theirs = correct[first, prompt_set], correct[second, prompt_set]
            shared = [question for question in ours if question in theirs]
            if len(shared) >= LEAST:
                difference, interval = paired([ours[question] for question in shared],
                                              [theirs[question] for question in shared])
                yield Difference(prompt_set, first, second, len(shared), difference, interval)


def paired(first: Sequence[float], second: Sequence[float]) -> tuple[float, Interval]:
    """The difference of two shares of the same prompts, and its interval: Newcombe's of Wilson's intervals, with the
    correlation of the pairs (Statistics in Medicine 17, 1998, method 10). It holds where all or none are right, too."""
    one, two = float(np.mean(first)), float(np.mean(second))
    ends = wilson(one, len(first)), wilson(two, len(second))
    (low, high), (other_low, other_high) = ((end.low or 0.0, 1.0 if end.high is None else end.high) for end in ends)
    shared = _correlation(first, second)
    down = _reach(one - low, other_high - two, shared)
    up = _reach(high - one, two - other_low, shared)
    return one - two, Interval(one - two - down, one - two + up, "Newcombe, paired")


def _reach(one: float, two: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * correlation * one * two + two * two))


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Of the pairs; 0 where one side is all the same."""
    spread = float(np.std(first) * np.std(second))
    return float(np.mean(np.multiply(first, second)) - np.mean(first) * np.mean(second)) / spread if spread else 0.0



def points(each: Json) -> str:
    """The difference in percentage points with its interval: `+4 (+1 to +7)`."""
    low, high = each["interval"]["low"], each["interval"]["high"]
    return f"{each['difference'] * 100:+.0f} ({low * 100:+.0f} to {high * 100:+.0f})".replace("-", "−")


def who_is_better(each: Json) -> str:
    """Which of two endpoints is right more often, in words, where the interval shows it."""
    if each["interval"]["low"] > 0 or each["interval"]["high"] < 0:
        return f"{each['first' if each['difference'] > 0 else 'second']} is right more often"
    return "no difference shown"


def comparisons_told(found: Json) -> Iterator[str]:
    """Each comparison of two endpoints as a sentence."""
    for each in found["differences"]:
        yield (f"{each['prompt_set']}: {each['first']} − {each['second']} = {points(each)} percentage points of "
               f"{each['n']} prompts: {who_is_better(each)}")
