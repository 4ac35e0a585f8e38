"""How many tokens each chunk of an answer held: known only where the server tells it of every one.

It may tell by token ids or log probabilities beside the text, or by a running total with every chunk (continuous
usage). A total that arrives once is a total, not the growth of the chunk that it came with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fmload.model.reading import Chunk, Reading

_ALL = -1  # the choice of a total that covers all choices
_UNSEEN = 2  # tokens of an answer that may come after the last running total: end marks


# A running total that came with a message: (place of its chunk, or of the next one where it had no text; its choice, or
# -1 for several; the total; the message's end where it had no text, else 0).
Total = tuple[int, int, int, int]


@dataclass(slots=True)
class Told:
    """What the messages of one answer told of the tokens in them."""

    totals: list[Total] = field(default_factory=list)
    directly: int = 0  # chunks whose tokens were told by ids or log probabilities
    steady: int = 0  # the first chunks, each with a running total one above the last, of choice 0: in no `totals` yet
    zero_end: int = 0  # of the message before them with a running total of 0, where there was one: not in there, either

    def add_silent(self, place: int, choice: int, total: int, end: int) -> None:
        """The running total of a message without text, which ends at byte `end`."""
        if place == choice == total == self.zero_end == 0 and not self.totals:  # the role, as vLLM has it
            self.zero_end = end
        else:
            self.add(place, choice, total, end)

    def add(self, place: int, choice: int, total: int, silent_end: int) -> None:
        """A running total of whatever kind."""
        self.spread()
        self.totals.append((place, choice, total, silent_end))

    def forget(self) -> None:
        """The chunks are others than those of which something was told."""
        self.totals, self.directly, self.steady, self.zero_end = [], 0, 0, 0

    def spread(self) -> None:
        """Put what is not yet there among `totals`."""
        if self.zero_end:
            self.totals.append((0, 0, 0, self.zero_end))
        if self.steady:
            self.totals += [(at, 0, at + 1, 0) for at in range(self.steady)]
        self.steady = self.zero_end = 0


def of_choice(choice: Mapping[str, Any]) -> int | None:
    """The tokens that a choice of a message holds, where it says so; None where it does not."""
    if isinstance(ids := choice.get("token_ids"), list) and ids:
        return len(ids)
    told = choice.get("logprobs")
    if isinstance(told, Mapping):
        for name in ("content", "tokens", "token_logprobs", "refusal"):
            if isinstance(each := told.get(name), list) and each:
                return len(each)
    return None


def settle(reading: Reading, told: Told) -> None:
    """Set the tokens of the chunks, and whether they are known, once the counts are."""
    chunks, total = reading.chunks, reading.output_tokens
    if told.steady and told.steady == len(chunks) > 1 and total is not None and (
            0 <= total - told.steady <= _UNSEEN * reading.choices):
        reading.chunk_tokens_known = True  # one token each, as they are
        return
    told.spread()
    if not chunks and not told.totals:
        return
    if chunks and told.directly == len(chunks):
        reading.chunk_tokens_known = True
    elif grown := _by_totals(chunks, told.totals, total, _UNSEEN * reading.choices):
        reading.chunks, reading.chunk_tokens_known = grown, True
    elif len(chunks) == 1 and total:
        reading.chunks = [chunks[0]._replace(tokens=max(1, total))]
        reading.chunk_tokens_known = True
    else:
        reading.chunk_tokens_known = bool(chunks) and total == sum(chunk.tokens for chunk in chunks)


def so_far(told: Told) -> int | None:
    """The tokens of all choices together by the last running totals; None where there are none, or they contradict
    each other."""
    told.spread()
    growths = (_growth(told.totals, by_choice) for by_choice in (False, True))
    return next((sum(growth) for growth in growths if growth), None)


def _by_totals(chunks: list[Chunk], totals: list[Total], total: int | None, unseen: int) -> list[Chunk] | None:
    """The chunks with the growth of the running totals; None where not every chunk came with one that had grown, or
    more than `unseen` tokens were in none."""
    if total is None or len(totals) < max(2, len(chunks)) or totals[0][2] == total or (
            sum([not silent_end for _, _, _, silent_end in totals]) < len(chunks)):
        return None
    growths = (_growth(totals, by_choice) for by_choice in (True, False))
    growth = next((one for one in growths if one is not None and total - unseen <= sum(one) <= total), None)
    if growth is None:
        return None
    grown: list[Chunk] = []
    for (place, _, _, silent_end), tokens in zip(totals, growth, strict=True):
        if not silent_end:
            grown.append(chunks[place] if tokens == 1 else chunks[place]._replace(tokens=tokens))
        elif tokens:  # tokens without a text of their own: half a character, an end mark, hidden reasoning
            neighbour = chunks[min(place, len(chunks) - 1)].channel if chunks else "reasoning"
            grown.append(Chunk(silent_end, tokens, neighbour))
    return grown or None


def _growth(totals: list[Total], by_choice: bool) -> list[int] | None:
    """What each total adds to the one before it; None when one with text adds nothing, or one falls."""
    before: dict[int, int] = {}
    growth: list[int] = []
    for _, choice, total, silent_end in totals:
        if not by_choice:
            choice = _ALL
        grown = total - before.get(choice, 0)
        if total == 0 and silent_end:  # says nothing, even after a real count
            grown = 0
        elif grown < (not silent_end):
            return None
        else:
            before[choice] = total
        growth.append(grown)
    return growth
