"""How far what a tool says is from what the server did: request by request where both can be told apart by an id, and
percentile beside percentile over the same requests for every tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmload.emulator.truth import Truth
from tests.bench.peers.tool import Seen

Floats = npt.NDArray[np.float64]
Pair = tuple[float, float]  # p50, p99 in ms


@dataclass(frozen=True, slots=True)
class Answer:
    """The truth of one answer, in seconds. `gaps_s` is None where the server tells their mean alone."""

    ttft_s: float
    gaps_s: Floats | None
    itl_s: float | None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors in ms as (p50, p99); None where nothing can be compared.

    `ttft` and `itl` are of |told − true|, a sample a request and a gap (of `means`: a request). `ttft_shift` and
    `itl_shift` are the tool's percentile − the true one. `itl_of` is `gaps` or `means`: what the tool keeps.
    """

    told: int
    matched: int
    ttft: Pair | None
    ttft_shift: Pair | None
    itl: Pair | None
    itl_shift: Pair | None
    itl_of: str


def answers_of(truths: Sequence[Truth]) -> list[Answer]:
    """The answers that the emulator gave whole: instants from the request's first byte, writes of tokens."""
    found = []
    for one in truths:
        if one.outcome == "ok" and one.token_ns:
            sent = np.frombuffer(one.token_ns, np.int64)
            gaps = np.diff(sent) / 1e9
            found.append(Answer((one.token_ns[0] - one.received_ns) / 1e9, gaps, _mean(gaps),
                                (one.request_id, f"chatcmpl-emulated-{one.number:08x}")))
    return found


def errors_of(seen: Sequence[Seen], answers: Sequence[Answer]) -> Errors:
    """What the tool told, laid beside the answers of the same load."""
    by_key = {key: one for one in answers for key in one.keys}
    pairs = [(one, by_key[one.key]) for one in seen if one.key is not None and one.key in by_key]
    of_gaps = any(one.gaps_s is not None for one in seen) and all(one.gaps_s is not None for one in answers)
    told, true = _itl(seen, of_gaps), _itl(answers, of_gaps)
    return Errors(
        len(seen), len(pairs),
        _pair([abs(one.ttft_s - answer.ttft_s) for one, answer in pairs]),
        _shift([one.ttft_s for one in seen], [one.ttft_s for one in answers]),
        _pair(_gap_errors(pairs) if of_gaps else _mean_errors(pairs)), _shift(told, true),
        "gaps" if of_gaps else "means")


def _itl(of: Sequence[Seen] | Sequence[Answer], gaps: bool) -> Sequence[float] | Floats:
    if gaps:
        kept = [np.asarray(one.gaps_s, float) for one in of if one.gaps_s is not None]
        return np.concatenate(kept) if kept else []
    return [mean for one in of if (mean := one.itl_s if one.itl_s is not None else _mean(one.gaps_s)) is not None]


def _mean(gaps: Sequence[float] | Floats | None) -> float | None:
    return float(np.mean(gaps)) if gaps is not None and len(gaps) else None


def _gap_errors(pairs: Sequence[tuple[Seen, Answer]]) -> Floats:
    """Of every gap; of an answer with another number of gaps none, for nobody knows which is which."""
    errors = [np.abs(np.asarray(own, float) - answer.gaps_s) for one, answer in pairs
              if (own := between_tokens(one)) is not None and answer.gaps_s is not None
              and len(own) == len(answer.gaps_s)]
    return np.concatenate(errors) if errors else np.array([])


def between_tokens(one: Seen) -> Sequence[float] | None:
    """Its gaps without those around the tokens."""
    before, after = one.around
    return None if one.gaps_s is None else one.gaps_s[before:len(one.gaps_s) - after]


def _mean_errors(pairs: Sequence[tuple[Seen, Answer]]) -> list[float]:
    return [abs(told - answer.itl_s) for one, answer in pairs
            if (told := one.itl_s if one.itl_s is not None else _mean(one.gaps_s)) is not None
            and answer.itl_s is not None]


def _pair(seconds: Sequence[float] | Floats) -> Pair | None:
    if not len(seconds):
        return None
    low, high = np.percentile(np.asarray(seconds, float) * 1e3, (50, 99))
    return float(low), float(high)


def _shift(told: Sequence[float] | Floats, true: Sequence[float] | Floats) -> Pair | None:
    ours, theirs = _pair(told), _pair(true)
    return None if ours is None or theirs is None else (ours[0] - theirs[0], ours[1] - theirs[1])


def in_flight(spans_ns: Sequence[tuple[int, int]]) -> int:
    """The most requests that the server had at a time."""
    steps = sorted([(begin, 1) for begin, _ in spans_ns] + [(end, -1) for _, end in spans_ns])
    return int(max(np.cumsum([step for _, step in steps]), default=0))


