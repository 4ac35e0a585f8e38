"""A score of an answer: whether it is as long as the ground truth."""

from __future__ import annotations


def same_length(answer: str, reference: str) -> float:
    """The shorter length ÷ the longer one; 1 where both are empty."""
    shorter, longer = sorted((len(answer), len(reference)))
    return shorter / longer if longer else 1.0
