"""What a demand may be given as: a rate such as `10M/day`, a YAML file, or a trace that prompt sources read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from fmload.base.errors import Faults, FmloadError
from fmload.base.units import parse_duration_s
from fmload.config import limits
from fmload.config.loading import load_as
from fmload.config.model import Rule, Strict
from fmload.config.schema import PromptSpec
from fmload.config.values import Seconds
from fmload.plugins import SOURCES

_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?(?:e\d+)?)\s*(?P<many>[kMG]?)\s*/\s*(?P<unit>s|min|h|day|month)")
_MANY = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_UNIT_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0, "month": 730 * 3600.0}
DAY_S = 86400.0
HINT = "'fmload help capacity' shows the keys of a demand file"


def parse_rate(text: str) -> float:
    """Requests a second from `20/s`, `10M/day`, `1e9/day`. Raises ValueError for what is no rate."""
    found = _RATE.fullmatch(text.strip())
    value = float(found["number"]) * _MANY[found["many"]] / _UNIT_S[found["unit"]] if found else 0.0
    if not 0 < value <= limits.REQUESTS_PER_S:
        raise ValueError(f"'{text}' is not a rate above 0; write requests with their time, such as 20/s, 10M/day or "
                         f"1e9/day (at most {limits.REQUESTS_PER_S:.0f}/s)")
    return value


def _rate(value: object) -> object:
    if isinstance(value, str):
        return parse_rate(value)
    raise ValueError(f"{value!r} has no time; write 20/s, 10M/day or 1e9/day")


Rate = Annotated[float, BeforeValidator(_rate), WithJsonSchema({"type": "string", "examples": ["20/s", "10M/day"]})]
Level = Annotated[float, Field(ge=0, le=limits.FACTOR)]


def _seconds(value: object) -> float:
    """Of a duration; 0 where it cannot be read, which is told elsewhere."""
    try:
        return parse_duration_s(value) if isinstance(value, str) else 0.0
    except ValueError:
        return 0.0


def _has_arrivals(source: str) -> bool:
    """Whether the source is a trace of requests. One that cannot be loaded is told elsewhere."""
    try:
        kind = SOURCES.load(source)
    except (FmloadError, ImportError):
        return True
    return bool(getattr(kind, "timed", False)) and not getattr(kind, "sessions", False)


class Flash(Strict):
    """A crowd that comes at once: the rate times `times`."""

    at_s: Seconds = Field(alias="at", lt=DAY_S, description="when it begins to come, from the start of the day")
    times: float = Field(gt=1, le=limits.FACTOR, description="its rate ÷ the ordinary one at that time")
    rise_s: Seconds = Field(60.0, alias="rise", description="until all are there, and until all have gone")
    lasts_s: Seconds = Field(alias="lasts", description="for how long all are there")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        at_s, rise_s, lasts_s = (_seconds(given.get(key, "1m")) for key in ("at_s", "rise_s", "lasts_s"))
        if at_s < DAY_S < at_s + 2 * rise_s + lasts_s:
            yield "lasts", "the crowd has gone (at + rise + lasts + rise) after the end of the day; 24h are the most"


class Wave(Strict):
    """A day's curve: a cosine whose lowest point is at the start of the day."""

    low: float = Field(ge=0, le=1, description="the lowest rate ÷ the highest")


class Lengths(Strict):
    """Every request alike, in the place of the run's own lengths."""

    input_tokens: int = Field(ge=1, le=limits.TOKENS)
    output_tokens: int = Field(ge=1, le=limits.TOKENS)


class Sessions(Strict):
    """Requests that belong together and begin alike."""

    turns: int = Field(ge=2, le=1000, description="requests of a session")
    repeats: float = Field(gt=0, lt=1, description="the share of a prompt that the session's last one held already")
    pause_s: Seconds = Field(30.0, alias="pause", description="between two requests of a session, on average")


class DemandFile(Strict):
    """A demand: how many requests come when, and how long they are."""

    rate: Rate | None = Field(None, description="the mean over the day")
    users: int | None = Field(None, ge=1, le=100_000_000_000, description="people, with requests_per_user_per_day")
    requests_per_user_per_day: float | None = Field(None, gt=0, le=limits.FACTOR)
    day: Wave | Annotated[list[Level], Field(min_length=2, max_length=1440)] | None = Field(
        None, description="a curve {low: 0.2}, or rates at even times over the day, of any scale")
    flash: Flash | None = Field(None, description="a crowd that comes at once")
    spread: Literal["poisson", "constant", "gamma"] = Field(
        "poisson", description="how arrivals spread around the rate")
    burstiness: float = Field(1.0, ge=0.001, le=limits.FACTOR, description="of the gaps, with spread: gamma")
    trace: PromptSpec | None = Field(None, description="a trace as prompts name it: source and files")
    lengths: Lengths | None = Field(
        None, description="the same lengths for every request; else the trace's or the run's")
    sessions: Sessions | None = Field(None, description="for routing by prefix")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        both = ("users", "requests_per_user_per_day")
        if any(key in given for key in both) and not all(key in given for key in both):
            present, absent = both if both[0] in given else both[::-1]
            yield present, f"goes with {absent}"
        if "rate" in given and "users" in given:
            yield "rate", "users say it already; leave one of them out"
        if not {"rate", "users", "trace"} & given.keys():
            yield "", "say how much comes: rate: 20/s, or users: with requests_per_user_per_day:, or a trace:"
        if "trace" in given:
            for key in ("day", "flash", "sessions"):
                if key in given:
                    yield key, "a trace has its own instants; leave one of them out"
        source = given["trace"].get("source") if isinstance(given.get("trace"), Mapping) else None
        if isinstance(source, str) and not _has_arrivals(source):
            yield ("trace", "source"), (f"'{source}' tells of no request when it came; use log for rows of your own, "
                                        "or azure_trace, burstgpt or mooncake")
        if isinstance(given.get("day"), list) and not any(
                isinstance(level, int | float) and level > 0 for level in given["day"]):
            yield "day", "must have a rate above 0"
        if "burstiness" in given and given.get("spread") != "gamma":
            yield "burstiness", "goes with spread: gamma"

    @property
    def mean_per_s(self) -> float | None:
        """Requests a second, the mean over the day; None: the trace says it."""
        if self.users is not None and self.requests_per_user_per_day is not None:
            return self.users * self.requests_per_user_per_day / DAY_S
        return self.rate


def read_demand(text: str) -> DemandFile:
    """The demand of `--demand`: a rate, a YAML file, or a trace file by its columns.

    Raises FmloadError with everything that is wrong.
    """
    path = Path(text)
    if not text or not (path.exists() or text.endswith((".yml", ".yaml", ".csv", ".jsonl", ".parquet"))):
        try:
            return DemandFile(rate=text)  # type: ignore[arg-type]
        except ValueError as error:
            raise FmloadError(f"--demand {text}: neither a file nor a rate",
                              hint="write a rate such as 20/s, 10M/day or 1e9/day (by s, min, h, day or month; above "
                                   f"0, at most {limits.REQUESTS_PER_S:,.0f}/s), or name a file") from error
    if path.suffix in (".yml", ".yaml"):
        return load_as(DemandFile, path, HINT)
    if not path.is_file():
        raise FmloadError(f"--demand {text}: no such file", hint=HINT)
    return DemandFile(trace=_trace_spec(path))


def _trace_spec(path: Path) -> PromptSpec:
    """The source that reads the file, by the columns of its first row."""
    from fmload.prompts import files

    faults = Faults()
    row = next(files.rows(files.find([str(path)]), faults), None)
    faults.check()
    columns = set(row.values) if row else set()
    for source, needed in _TRACES.items():
        if needed <= columns:
            return PromptSpec.model_validate({"name": "demand", "source": source, "files": [str(path)],
                                              **_LOG_KEYS.get(source, {})})
    told = ", ".join(sorted(columns)) or "no rows"
    raise FmloadError(f"--demand {path}: not a trace whose columns are known: {told}",
                      hint="name its source in a demand file: trace: {name: t, source: log, files: [...], "
                           "timestamp_column: ...}; 'fmload help prompts' lists the sources")


_TRACES = {"azure_trace": {"TIMESTAMP", "ContextTokens", "GeneratedTokens"},
           "burstgpt": {"Timestamp", "Request tokens", "Response tokens"},
           "mooncake": {"timestamp", "input_length", "output_length"},
           "log": {"timestamp", "input_tokens"}}
_LOG_KEYS: dict[str, dict[str, Any]] = {"log": {"input_tokens_column": "input_tokens"}}
