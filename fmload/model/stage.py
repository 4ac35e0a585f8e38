"""A stage of a sweep: one endpoint, prompt set, load level and set of parameters, as planned and as it was."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from fmload.base.units import format_users

SCHEMA_VERSION = 1
Status = Literal["pending", "running", "done", "interrupted", "skipped"]
LoadKind = Literal["concurrency", "rate", "trace"]


@dataclass(slots=True)
class Load:
    """How much: users at the same time (`concurrency`), arrivals a second (`rate`) of a process, or the speed-up of a
    trace (`trace`)."""

    kind: LoadKind
    value: float
    arrivals: dict[str, Any] | None = None  # of a rate: {"process": name, **its options}

    @property
    def text(self) -> str:
        """`8 users`, `2.5/s`, or `trace ×2`."""
        return {"concurrency": format_users(self.value), "rate": f"{self.value:g}/s",
                "trace": f"trace ×{self.value:g}"}[self.kind]


@dataclass(slots=True)
class StageMark:
    """Something that befell a stage, at an instant of the master's clock."""

    kind: str
    at_ns: int
    worker: str | None = None
    detail: str = ""


@dataclass(slots=True)
class Stage:
    """One endpoint × prompt set × load level, as asked and as it was. Instants are of the master's clock."""

    stage: int
    step: int
    repeat: int
    endpoint: str
    prompt_set: str
    load: Load
    parameters: dict[str, Any]
    ramp_s: float
    warmup_s: float
    window_s: float | None
    requests: int | None
    drain_s: float
    warmup: dict[str, Any] = field(default_factory=dict)  # {"requests": n} or {"steady": metric}; empty: a time alone
    find: dict[str, Any] | None = None  # of a search: objective (None: knee), confidence, window_s, extend
    stop_when_saturated: bool = False
    mix: dict[str, Any] | None = None  # of a component: component, share, shares, first (its step's first stage), rate
    until: dict[str, Any] | None = None  # metric, within, confidence, at_least_s: what closes the window
    status: Status = "pending"
    ramp_start_ns: int | None = None
    warmup_start_ns: int | None = None
    window_start_ns: int | None = None
    window_end_ns: int | None = None
    drain_end_ns: int | None = None
    warmup_ended: str | None = None  # what ended it: time, requests, steady or at_most
    window_closed: str | None = None  # what closed it: time, requests, precise, clear, saturated or at_most
    verdict: dict[str, Any] | None = None  # of a search's objectives on its requests (`search.verdicts`)
    observed: dict[str, Any] | None = None  # throughput and latency, where other stages are compared with them
    reached: dict[str, Any] | None = None  # what was known of the metric of `until` at the last look
    users: int | None = None
    workers: list[str] = field(default_factory=list)
    marks: list[StageMark] = field(default_factory=list)

    @property
    def slots(self) -> int:
        """Users that send at the same time; 0 in an open loop, where arrivals need none."""
        return int(self.load.value) if self.load.kind == "concurrency" else 0

    @property
    def counts_requests(self) -> bool:
        """Whether the number of its requests ends its warm-up or its window."""
        return self.requests is not None or "requests" in self.warmup

    @property
    def needs_requests(self) -> bool:
        """Whether what its requests say ends its warm-up or its window."""
        return bool(self.until or self.find or self.stop_when_saturated or "steady" in self.warmup)

    @property
    def label(self) -> str:
        """The stage in a few words, for logs and progress."""
        return f"{self.endpoint} · {self.prompt_set} · {self.load.text}"

    def to_json(self) -> dict[str, Any]:
        """The entry of stages.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Stage:
        """The inverse of `to_json`; keys of later versions are ignored."""
        known = {column.name for column in fields(cls)}
        values = {key: value for key, value in entry.items() if key in known}
        values["load"] = Load(**entry["load"])
        values["marks"] = [StageMark(**mark) for mark in entry.get("marks", [])]
        return cls(**values)
