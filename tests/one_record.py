"""A record with instants in milliseconds after it was sent."""

from __future__ import annotations

from array import array

from fmload.model.outcome import Outcome
from fmload.model.record import Record

MS = 10**6


def record(outcome: Outcome = "ok", *, stage: int = 0, send_ns: int = 0, chunks: tuple[int, ...] = (100, 120, 160),
           tokens: tuple[int, ...] = (1, 1, 2)) -> Record:
    instants = [send_ns + ms * MS for ms in chunks]
    return Record("id", "w", stage, "e", "p", "p-1", send_ns, send_ns=send_ns, end_ns=instants[-1] + MS,
                  outcome=outcome, first_token_ns=instants[0], last_token_ns=instants[-1],
                  chunk_ns=array("q", instants), chunk_tokens=array("i", tokens),
                  chunk_censored=array("b", [0] * len(instants)),
                  output_tokens=sum(tokens), input_tokens=7, chunk_tokens_known=True)
