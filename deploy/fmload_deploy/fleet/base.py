"""What a fleet is made of: what is asked for, what its master tells, and the seam, the targets.

A fleet is hosts that run one run file: the first is the master, which runs `fmload run`, and all carry workers. The
master is in the fleet, since a laptop behind a router cannot be reached by workers; what goes in and what comes back
are files in a mailbox (`mailbox.py`) that the target chooses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from fmload.base.errors import FmloadError
from fmload.plugins import FLEETS
from fmload_deploy.base import Context, Plan
from fmload_deploy.fleet.mailbox import Mailbox

NAME = "fleet.json"


@dataclass(frozen=True, slots=True)
class Fleet:
    """What was asked for, as it lies in the fleet's folder. It holds no secret: `variables` are names."""

    name: str
    target: str
    workers: int
    lease_s: float
    start_timeout_s: float
    results: str  # the folder that the results come back to
    region: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()  # of the endpoints: what the hosts must be allowed to ask
    variables: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Put it into the fleet's folder."""
        (folder / NAME).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Fleet:
        """The fleet of a folder. Raises FmloadError where there is none."""
        try:
            told = json.loads((folder / NAME).read_text(encoding="utf-8"))
            return cls(**{**told, "protocols": tuple(told["protocols"]), "variables": tuple(told["variables"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise FmloadError(f"{folder / NAME} cannot be read: {error}",
                              hint=f"what it made is in the ledger: fmload deploy down {folder}") from error


@dataclass(frozen=True, slots=True)
class Told:
    """What the master says of itself. `phase`: waiting (for its run, then for workers), measuring, packing, ended.
    `beat` counts its words while its run goes on: one every few seconds."""

    phase: str
    connected: int = 0
    lost: int = 0
    stage: str = ""
    exit_code: int | None = None
    why: str = ""
    ended_utc: str | None = None
    beat: int = 0


def told(mailbox: Mailbox) -> Told | None:
    """What the master said last; None before its first word."""
    text = mailbox.read("status.json")
    try:
        return None if text is None else Told(**json.loads(text))
    except (ValueError, TypeError):  # of another version, or being written
        return None


class FleetTarget(Protocol):
    """One way to have hosts. Built anew by every command; nothing happens before `up`.

    `Options` declares its flags. `up` creates through `create.ensure` alone, so that each resource is in the ledger
    before it exists; `secrets` (variables to values, the run's token among them) must stand in no argument, manifest,
    tag or script. `look` raises FmloadError with the reason where a host cannot start, or has ended too early. A class
    with `HERE = True` says that its hosts have this one's files: none travels.
    """

    Options: ClassVar[type[BaseModel]]

    @property
    def look_every_s(self) -> float:
        """Seconds between two looks."""
        ...

    def __init__(self, fleet: Fleet, context: Context) -> None: ...

    def plan(self) -> Plan: ...

    def up(self, run: Path, secrets: Mapping[str, str]) -> None: ...

    def mailbox(self) -> Mailbox: ...

    def look(self) -> None: ...

    def running(self) -> tuple[int, int]:
        """Hosts that run, and hosts in all."""
        ...


def target_of(fleet: Fleet, context: Context) -> FleetTarget:
    """The fleet's target."""
    made: FleetTarget = FLEETS.load(fleet.target)(fleet, context)
    return made


def target_is_here(name: str) -> bool:
    """Whether the hosts of a target have the files of this one."""
    return bool(getattr(FLEETS.load(name), "HERE", False))
