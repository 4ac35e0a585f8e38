"""What a tool is to this bench: its command for a load, and how what it wrote of single requests is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Load:
    """A closed load: so many streams at a time, requests in all, and tokens a request."""

    streams: int
    requests: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tool runs: the server (no path), the model's name there, its tokenizer's folder, whether it counts a text
    when it is asked as vLLM is, the programs of the tool's own environment, and the folder that it may write to."""

    url: str
    model: str
    tokenizer: Path
    counts: bool
    programs: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tool says of one request that ended well. Seconds.

    `key`: the request's id as the server got it, or the answer's id as it came; None where the tool keeps neither.
    `gaps_s`: every gap between tokens; None where the tool keeps none. `itl_s`: its own mean of them. `around`: how
    many gaps before the first token and after the last one are among them, which no other tool counts.
    """

    key: str | None
    ttft_s: float
    gaps_s: Sequence[float] | None
    itl_s: float | None
    around: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. `package` is its distribution, whose version is told; `ttft`, `itl` and `source` are words for the page.

    `installed`: it comes with this project's development environment and has none of its own.
    """

    package: str
    command: Callable[[Load, Place], Sequence[str]]
    read: Callable[[Path], Sequence[Seen]]  # of the folder
    ttft: str  # what it calls TTFT
    itl: str  # what it keeps of the gaps between tokens
    source: str  # which of its own docs the command follows
    environment: Mapping[str, str] = field(default_factory=dict)
    installed: bool = False
    program: str = "python"  # what must be there among the environment's programs
