"""Proof beside the rivals: other tools and ours against servers that know the truth: `python -m tests.bench peers`."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """See `tests.bench.peers.command`."""
    from tests.bench.peers.command import main as run

    return run(argv)
