"""A stage of a sweep: one endpoint, prompt set, load level and set of parameters, as planned and as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fmload.base.units import format_users
from fmload.model.verdict import LoadVerdict, Observed, Reached

Status = Literal["pending", "running", "done", "interrupted", "skipped", "superseded"]
LoadKind = Literal["concurrency", "rate", "trace"]

_BECOMES: Mapping[Status, tuple[Status, ...]] = {
    "pending": ("running", "skipped"),
    "running": ("done", "interrupted", "superseded"),
    "interrupted": ("superseded",),
    "done": (), "skipped": (), "superseded": (),
}


@dataclass(slots=True)
class Load:
    """How much: users at the same time (`concurrency`), arrivals a second (`rate`) of a process, or the speed-up of a
    trace (`trace`). `sessions`: of whole sessions."""

    kind: LoadKind
    value: int | float  # users are a whole number, and stay one in every file
    arrivals: Mapping[str, Any] | None = None  # of a rate: {"process": name, **its options}
    sessions: bool = False

    @property
    def text(self) -> str:
        """`8 users`, `2.5/s`, or `trace ×2`; `8 sessions`, `2.5 sessions/s`."""
        several = "session" if self.value == 1 else "sessions"
        return {"concurrency": f"{self.value:g} {several}" if self.sessions else format_users(self.value),
                "rate": f"{self.value:g} sessions/s" if self.sessions else f"{self.value:g}/s",
                "trace": f"trace ×{self.value:g}"}[self.kind]


@dataclass(slots=True)
class StageMark:
    """Something that befell a stage, at an instant of the master's clock."""

    kind: str
    at_ns: int
    worker: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What ends a warm-up before its time: a number of requests, or a metric that has come to rest. Neither: a time
    alone."""

    requests: int | None = None
    steady: str | None = None

    @property
    def by_time(self) -> bool:
        """Whether only its time ends it."""
        return self.requests is None and self.steady is None


@dataclass(frozen=True, slots=True)
class Find:
    """What a stage of a search is for. `objective`: limits by name as the run file has them; None: it looks for the
    knee. Its requests are judged after `window_s`, and up to `extend` windows while that is unclear."""

    objective: Mapping[str, Any] | None
    confidence: float
    window_s: float
    extend: int = 1


@dataclass(frozen=True, slots=True)
class MixPart:
    """A component of a mix: its place among `shares`, its own share of the requests, the number of the first stage of
    its step, and the arrivals a second of all components together (None in a closed loop)."""

    component: int
    share: float
    shares: tuple[float, ...]
    first: int
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Until:
    """The window stays open until half the interval of a metric is at most `within` of its value."""

    metric: str
    within: float
    confidence: float
    at_least_s: float


@dataclass(frozen=True, slots=True)
class StopIf:
    """What ends a stage early: more than this share of failures once `after` requests have ended, or so many requests
    of an outcome."""

    error_rate: float | None = None
    after: int = 20
    outcomes: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Stage:
    """One endpoint × prompt set × load level, as asked and as it was. Instants are of the master's monotonic clock;
    0: never reached."""

    stage: int
    step: int
    repeat: int
    endpoint: str
    prompt_set: str
    load: Load
    parameters: Mapping[str, Any]  # of inference: whatever the endpoint takes
    ramp_s: float
    warmup_s: float
    window_s: float | None
    requests: int | None
    drain_s: float
    warmup: WarmUp = WarmUp()
    find: Find | None = None
    stop_when_saturated: bool = False
    mix: MixPart | None = None
    until: Until | None = None
    exact: bool = False  # `requests` are all that are sent, and each counts (None: not known before the prompts)
    stop_if: StopIf | None = None
    beside: bool = False  # the users of the other stages of its step ask its endpoint; none has a place here
    status: Status = "pending"
    ramp_start_ns: int = 0
    warmup_start_ns: int = 0
    window_start_ns: int = 0
    window_end_ns: int = 0
    drain_end_ns: int = 0
    warmup_ended: str | None = None  # what ended it: time, requests, steady or at_most
    window_closed: str | None = None  # by: time, requests, precise, clear, saturated, stop_if, at_most, ended by hand
    verdict: LoadVerdict | None = None  # on the objectives of its search
    observed: Observed | None = None  # where other stages are compared with it
    reached: Reached | None = None
    users: int | None = None
    workers: list[str] = field(default_factory=list)
    marks: list[StageMark] = field(default_factory=list)
    records: int | None = None  # how many its workers say that they made; None: they did not say

    def become(self, status: Status) -> None:
        """The one way from a status to the next: pending → running → done or interrupted, pending → skipped; one that
        was begun becomes superseded when another takes its place. Raises ValueError for any other way."""
        if status not in _BECOMES[self.status]:
            raise ValueError(f"stage {self.stage} is {self.status} and cannot become {status}")
        self.status = status

    def break_off(self, now_ns: int) -> None:
        """It ends before its time: a window that is open closes now."""
        self.become("interrupted")
        if self.window_start_ns and not self.window_end_ns:
            self.window_end_ns = now_ns

    @property
    def begun(self) -> bool:
        """Whether it was begun and not brought to its end."""
        return self.status in ("running", "interrupted")

    @property
    def line(self) -> tuple[int, str, str, int | None]:
        """What a stage shares with the one that takes its place after `--resume`."""
        return self.step, self.endpoint, self.prompt_set, self.mix.component if self.mix else None

    @property
    def slots(self) -> int:
        """Users that have a place here; 0 in an open loop, where arrivals need none."""
        return int(self.load.value) if self.load.kind == "concurrency" and not self.beside else 0

    @property
    def concurrency(self) -> int | None:
        """Concurrency offered; None in an open loop."""
        return int(self.load.value) if self.load.kind == "concurrency" else None

    @property
    def rate_per_s(self) -> float | None:
        """Arrivals offered per second; None where the load is not a rate."""
        return float(self.load.value) if self.load.kind == "rate" else None

    @property
    def open_loop(self) -> bool:
        """Whether requests are due at instants of their own, whatever the answers do."""
        return self.load.kind in ("rate", "trace")

    @property
    def window_ns(self) -> int:
        """Length of the measurement window; 0 when it never opened or never closed."""
        if not self.window_start_ns or not self.window_end_ns:
            return 0
        return max(self.window_end_ns - self.window_start_ns, 0)

    @property
    def counts_requests(self) -> bool:
        """Whether the number of its requests, or of its failures, ends its warm-up or its window."""
        return bool(self.exact or self.stop_if or self.requests is not None or self.warmup.requests is not None)

    @property
    def needs_requests(self) -> bool:
        """Whether what its requests say ends its warm-up or its window."""
        return bool(self.until or self.find or self.stop_when_saturated or self.warmup.steady)

    @property
    def label(self) -> str:
        """The stage in a few words, for logs and progress."""
        return f"{self.endpoint} · {self.prompt_set} · {self.load.text}"

    @property
    def load_label(self) -> str:
        """The load in a report: `16 users`, `3.5 requests/s` or `trace ×2`."""
        requests = self.load.kind == "rate" and not self.load.sessions
        return f"{self.load.value:g} requests/s" if requests else self.load.text
