"""Every message between the master and its workers: what it says, and the version that both must speak.

They travel over Locust's own channel as a kind (`fmload_…`) and a mapping. `OF_WORKERS` and `OF_THE_MASTER` list them
all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fmload.base.version import __version__

PROTOCOL_VERSION = 6
# 1  first version, of fmload 0.1; its greeting says no version
# 2  greeting and plan carry the version; records, idle and flushed say how many records were made, by stage
# 3  the lanes of a step are `LaneShare`s
# 4  prompts hold recipes of sound and media; records and counts know images
# 5  a worker that is ready says which endpoints refused their first request
# 6  idle carries what the live view counts

Made = dict[int, int]  # records that a worker has made since the run began, by number of the stage


# -- the greeting -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker: its listeners are there, and what it speaks; before that it takes no part."""

    protocol: int = 1
    fmload: str = "0.1"


@dataclass(frozen=True, slots=True)
class Challenge:
    """Master: the worker is to show that it has the run's token (`protocol.admission`)."""

    nonce: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Worker: what it makes of the challenge with the token."""

    proof: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Master: the worker may take no part, and why; it ends."""

    reason: str


# -- the plan -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """Master: a run begins. `run` is the run file (secrets are names of variables), `prompts` the sizes of this
    worker's shards by set, `begins` the prompt with which each endpoint begins each set, `journal` the folder of the
    journals on the master's machine (`host`, `boot_id`), `answers` what this worker may keep of the answers (None:
    nothing), `texts` of those that their server does not count, `limits` those of a good request by metric, as
    `config.goodput` gives them. `trial`: this worker tries the endpoints first."""

    run: dict[str, Any]
    run_id: str
    index: int
    trial: bool
    prompts: dict[str, int]
    begins: dict[str, dict[str, str]]
    journal: str
    host: str
    boot_id: str
    answers: dict[str, int] | None = None
    texts: dict[str, int] | None = None
    limits: Any = None
    protocol: int = 1
    fmload: str = "0.1"


@dataclass(frozen=True, slots=True)
class Prompts:
    """Master: a batch of the worker's shard of a prompt set (packed, under 1 MB)."""

    prompt_set: str
    prompts: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker: plan and shards are in, the endpoints are built and tried; or what is wrong (`problem`). `refused`: by
    endpoint, why it would not answer a first request."""

    run_id: str
    host: str
    pid: int
    boot_id: str
    wall_anchor_ns: int
    problem: str | None = None
    refused: dict[str, str] = field(default_factory=dict)


# -- steps --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaneShare:
    """One worker's share of one stage in a step. Instants are of the master's clock.

    `slots` users open over `ramp_s`, or the arrivals `index`, `index + workers`, … of those that `asked` describes
    (`arrivals.of_stage`), of which those before `since_ns` were dealt before. `replays`: this worker sends the rows of
    its shard of a trace. `exact`: of a stage of exactly so many requests, which prompts it sends (`plan.exact.Part`).
    """

    stage: int
    endpoint: str
    prompt_set: str
    kind: str
    start_ns: int
    since_ns: int
    index: int
    workers: int
    slots: int
    ramp_s: float
    asked: dict[str, Any]
    replays: bool = False
    exact: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Master: a step begins, or its slots are assigned again. `offset_ns`: the worker's clock minus the master's as
    known now; None: not known."""

    step: int
    lanes: list[LaneShare]
    offset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Adopt:
    """Master: rows of a trace that are still to come and whose worker is gone (packed, under 1 MB)."""

    prompt_set: str
    prompts: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Master: send nothing new."""

    step: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Worker: nothing is in flight any more; `report`: what the live view has not been told of yet."""

    step: int
    made: Made = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Censor:
    """Master: end what is in flight, and keep it with this outcome (censored or cancelled)."""

    outcome: str


# -- records, clocks, the end -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Records:
    """Worker: packed records from number `first` on (under 1 MB); kept until acknowledged, else sent again."""

    run_id: str
    first: int
    records: list[bytes]
    made: Made = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ack:
    """Master: it has journaled so many of this worker's records."""

    run_id: str
    count: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Master: asks for the worker's clock, and tells it what it knows of it."""

    sent_ns: int
    offset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Pong:
    """Worker: the answer to a ping, with its own two instants."""

    sent_ns: int
    received_ns: int
    answered_ns: int


@dataclass(frozen=True, slots=True)
class Flush:
    """Master: send everything, and say how much that was."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """Worker: everything was sent; `count` records and kept answers in all. `run_id` None: it has no run."""

    run_id: str | None
    count: int
    made: Made = field(default_factory=dict)


NO_STAGE = -1  # of an event that befell no stage: none is marked


@dataclass(frozen=True, slots=True)
class Event:
    """Worker: what befell it, and which stage: None stands for all that are on, NO_STAGE for none of them."""

    kind: str
    detail: str = ""
    stage: int | None = None


Message = (Hello | Challenge | Proof | Refused | Plan | Prompts | Ready | Step | Adopt | Close | Idle | Censor | Records
           | Ack | Ping | Pong | Flush | Flushed | Event)

OF_WORKERS: tuple[type[Message], ...] = (Hello, Proof, Ready, Idle, Records, Pong, Flushed, Event)
OF_THE_MASTER: tuple[type[Message], ...] = (
    Challenge, Refused, Plan, Prompts, Step, Adopt, Close, Censor, Ack, Ping, Flush)


_ADAPTERS: dict[type[Message], TypeAdapter[Message]] = {
    kind: TypeAdapter(kind) for kind in (*OF_WORKERS, *OF_THE_MASTER)}


def kind_of(message: type[Message]) -> str:
    """The name under which messages of this class travel."""
    return f"fmload_{message.__name__.lower()}"


def encode(message: Message) -> dict[str, Any]:
    """What travels."""
    return asdict(message)


def decode(kind: type[Message], data: Any) -> Any:
    """The inverse of `encode`; keys of later versions are ignored. Raises ValueError, which says where, for data that
    are no such message."""
    try:
        return _ADAPTERS[kind].validate_python({} if data is None else data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "its data"
        raise ValueError(f"{kind_of(kind)}: {where}: {first['msg']}") from error


def hello() -> Hello:
    """The greeting of this worker."""
    return Hello(PROTOCOL_VERSION, __version__)


def other_version(worker_or_master: str, protocol: int, fmload: str) -> str | None:
    """Why two sides cannot work together, with both versions; None where they can."""
    if protocol == PROTOCOL_VERSION:
        return None
    here = "worker" if worker_or_master == "master" else "master"
    return (f"the {worker_or_master} runs fmload {fmload} (protocol {protocol}), this {here} fmload {__version__} "
            f"(protocol {PROTOCOL_VERSION}); install the same version on all hosts")
