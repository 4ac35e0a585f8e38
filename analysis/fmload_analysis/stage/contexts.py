"""Classes of contexts: how long a prompt was, in powers of two."""

from __future__ import annotations

import math

_FIRST = 1024  # tokens: the first class ends there, each further one at twice as many


def context_class(tokens: float) -> int:
    """The class of a context: 0 below 1,024 tokens, 1 below 2,048, 2 below 4,096 …"""
    return 0 if tokens < _FIRST else math.floor(math.log2(tokens / _FIRST)) + 1


def class_name(number: int) -> str:
    """`below 1k`, `1k to 2k`, … tokens."""
    return "below 1k" if number == 0 else f"{2 ** (number - 1)}k to {2 ** number}k"
