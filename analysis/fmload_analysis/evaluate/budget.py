"""What judging will cost, told before it is spent, and the limit that it may not pass. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fmload.base.errors import FmloadError
from fmload.pricing.resolve import Pricing
from fmload.pricing.spend import usd_of_tokens
from fmload_analysis.evaluate.ledger import SETTLED, Entry
from fmload_analysis.evaluate.panel import Panel, Question

BYTES_PER_TOKEN = 4.0  # of a question, until the judge's own counts are known
OUTPUT_TOKENS = 100  # of a reply, until the judge's own are known: a verdict with its reason


@dataclass(slots=True)
class Expectation:
    """What a question costs one judge: by rule of thumb first, then as its replies so far.

    `limit_tokens` is the judge's `max_tokens`; `pricing` None where no token prices are known.
    """

    pricing: Pricing | None
    limit_tokens: float = math.inf
    spent_usd: float = 0.0
    _bytes: int = 0
    _input_tokens: int = 0
    _output_tokens: int = 0
    _replies: int = 0

    def tokens(self, question: Question) -> tuple[float, float]:
        """Tokens in and out that a question will take, about."""
        size = len(question.text.encode())
        if not self._replies:
            return size / BYTES_PER_TOKEN, min(OUTPUT_TOKENS, self.limit_tokens)
        return size * self._input_tokens / self._bytes, self._output_tokens / self._replies

    def usd(self, question: Question) -> float | None:
        """What a question will cost, about; None without token prices."""
        return None if self.pricing is None else usd_of_tokens(self.pricing, *self.tokens(question))

    def learn(self, question: Question, entry: Entry) -> None:
        """Count a reply. One that does not tell its tokens costs what was expected; no reply costs nothing."""
        if entry.outcome not in SETTLED:
            return
        known = entry.input_tokens is not None and entry.output_tokens is not None
        expected = self.tokens(question)
        paid = (entry.input_tokens or 0, entry.output_tokens or 0, entry.cached_tokens or 0) if known else expected
        self.spent_usd += usd_of_tokens(self.pricing, *paid) if self.pricing else 0.0
        if known:
            self._bytes += len(question.text.encode())
            self._input_tokens += entry.input_tokens or 0
            self._output_tokens += entry.output_tokens or 0
            self._replies += 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one judge is still to be asked, about. `usd` is None without token prices."""

    judge: str
    questions: int
    input_tokens: float
    output_tokens: float
    usd: float | None


@dataclass(slots=True)
class Budget:
    """The money that the judges may cost together, earlier calls included; without `limit_usd` all that they ask for.

    A question is taken when what was paid, what is expected of those under way and of itself is within the limit.
    """

    judges: Mapping[str, Expectation]
    limit_usd: float = math.inf
    exhausted: bool = False
    _under_way: dict[str, float] = field(default_factory=dict)

    @property
    def spent_usd(self) -> float:
        """What the replies cost, as far as prices are known."""
        return math.fsum(judge.spent_usd for judge in self.judges.values())

    def take(self, question: Question) -> bool:
        """Whether the question may be asked; once it may not, none may."""
        expected = self.judges[question.judge].usd(question) or 0.0
        self.exhausted |= self.spent_usd + math.fsum(self._under_way.values()) + expected > self.limit_usd
        if not self.exhausted:
            self._under_way[question.key] = expected
        return not self.exhausted

    def settle(self, question: Question, entry: Entry) -> None:
        """The question has ended: what it cost takes the place of what was expected."""
        self._under_way.pop(question.key, None)
        self.judges[question.judge].learn(question, entry)

    def estimates(self, questions: Iterable[Question]) -> list[Estimate]:
        """By judge, what these questions will cost."""
        asked: dict[str, list[Question]] = {name: [] for name in self.judges}
        for question in questions:
            asked[question.judge].append(question)
        return [_estimate(name, self.judges[name], mine) for name, mine in asked.items()]


def _estimate(name: str, judge: Expectation, questions: Sequence[Question]) -> Estimate:
    tokens = [judge.tokens(question) for question in questions]
    usd = [judge.usd(question) or 0.0 for question in questions]
    return Estimate(name, len(questions), math.fsum(each[0] for each in tokens), math.fsum(each[1] for each in tokens),
                    None if judge.pricing is None else math.fsum(usd))


def budget_of(panel: Panel, questions: Iterable[Question], entries: Mapping[str, Entry],
              pricing: Mapping[str, Pricing | None], limit_usd: float | None = None) -> Budget:
    """The budget of a panel, with what the ledger's entries to these questions have cost.

    Raises FmloadError where a limit is set and a judge has no token prices: it could not be kept.
    """
    by_token = {name: price if price is not None and price.by_token else None for name, price in pricing.items()}
    without = [name for name in panel.names if by_token.get(name) is None]
    if limit_usd is not None and without:
        raise FmloadError(f"--max-cost cannot be kept: no token prices are known of {', '.join(without)}",
                          hint="add `price: {input_per_1m: 2.5, output_per_1m: 10}` to each; 0 where it costs nothing")
    judges = {judge.name: Expectation(by_token.get(judge.name), _limit(judge.parameters))
              for judge in panel.spec.judges}
    for question in questions:
        if (entry := entries.get(question.key)) is not None:
            judges[question.judge].learn(question, entry)
    return Budget(judges, math.inf if limit_usd is None else limit_usd)


def _limit(parameters: Mapping[str, object]) -> float:
    limit = parameters.get("max_tokens")
    return float(limit) if isinstance(limit, int | float) else math.inf
