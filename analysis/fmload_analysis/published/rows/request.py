"""A request as another tool recorded it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LAID_OUT = ("the file tells no start instants: its requests are laid out in their order, each as soon as the load "
            "allows; latencies are the file's, charts over time are of this layout")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Instants in seconds of one clock; what the tool did not record is None."""

    send_s: float
    scheduled_s: float | None = None
    first_s: float | None = None
    last_s: float | None = None
    end_s: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    gaps_s: tuple[float, ...] = ()  # between its token-bearing chunks, where the tool keeps them
    error: str | None = None
    status: int | None = None
    cut_off: bool = False  # it went on when the run ended
    counted_by: Literal["server", "tokenizer"] = "server"
