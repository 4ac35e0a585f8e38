"""Machines that the trials of a search take over from one another.

What differs in server flags alone is served by other containers on the instance, or by an update of the endpoint, that
the trial before has left. Each machine has a folder with a ledger of its own, in which it stands from its creation to
its deletion whatever trials came and went; the process that runs the search owns all of them.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError
from fmload.base.files import write_whole
from fmload.config.schema import EndpointSpec, RunFile
from fmload.results.folder import Results
from fmload_deploy import bill
from fmload_deploy.aws import vanished
from fmload_deploy.base import Context
from fmload_deploy.ledger import NAME, Ledger

FOLDER = "machines"
_KEY = "machine.json"


@dataclass(frozen=True, slots=True)
class Hands:
    """What stands up and takes down: of fmload_deploy.lifecycle and its neighbours."""

    context: Callable[[RunFile, Results], Context]
    context_of: Callable[[Ledger], Context]  # of what is left in a ledger
    look: Callable[[RunFile, Context], None]
    up: Callable[[RunFile, Context], RunFile]
    down: Callable[[Context], None]
    watching: Callable[[Context], AbstractContextManager[None]]  # leases renewed, condition told


@dataclass(frozen=True, slots=True)
class Stood:
    """What came of standing a trial's endpoint up: `run` with its address, or the error; `reused`: the machine stood
    already. `took_s` until it served, or failed."""

    machine: str
    reused: bool
    took_s: float
    run: RunFile | None = None
    error: FmloadError | None = None


@dataclass(slots=True)
class _Machine:
    folder: Path
    key: str
    context: Context | None = None  # None: nothing was made of it by this process
    in_use: bool = False
    served: bool = False  # a trial's endpoint came up on it
    inside: ExitStack = field(default_factory=ExitStack)

    @property
    def ledger(self) -> Ledger | None:
        return Ledger.open(self.folder / NAME) if (self.folder / NAME).exists() else None

    @property
    def stands(self) -> bool:
        return (ledger := self.ledger) is not None and any(entry.up for entry in ledger.entries())


def key_of(run: RunFile) -> str | None:
    """What two candidates must have in common to be served by one machine in turn; None where their target makes
    everything anew."""
    [spec] = run.endpoints
    options = spec.deploy.options if spec.deploy is not None else None
    served = getattr(options, "SERVED", None)
    if spec.deploy is None or served is None or getattr(options, "inference_component", None) is not None:
        return None
    assert options is not None
    said: dict[str, Any] = {"target": spec.deploy.target, "region": getattr(spec.options, "region", None),
                            "emulated": getattr(options, "emulator", None) is not None,
                            **options.model_dump(mode="json", exclude=served)}
    return hashlib.sha256(json.dumps([said, _price(spec)], sort_keys=True).encode()).hexdigest()[:16]


def _price(spec: EndpointSpec) -> Any:
    return None if spec.price is None else spec.price.model_dump(mode="json")


class Machines:
    """The machines of one search, in `root`. `most` may stand at once. Safe for the threads of its trials."""

    def __init__(self, root: Path, most: int, hands: Hands) -> None:
        self._root, self._most, self._hands = root / FOLDER, most, hands
        self._lock = threading.Lock()
        self._machines = [_found(path.parent) for path in sorted(self._root.glob(f"*/{_KEY}"))]

    def key_of(self, run: RunFile) -> str | None:
        """See `key_of` of the module."""
        return key_of(run)

    def stand_up(self, run: RunFile, folder: Path) -> Stood:
        """Have a machine serve what the run of the trial's `folder` asks for; it is the trial's until `hand_back`. One
        whose first start failed is taken down at once: the machine may be to blame."""
        began = time.monotonic()
        machine, idle = self._taken(key_of(run) or "")
        for one in idle:
            self._removed(one)
        reused = self._is_there(machine)
        try:
            ready = self._served(machine, run, folder)
        except FmloadError as error:
            if not machine.served:
                self._removed(machine)
            return Stood(machine.folder.name, reused, time.monotonic() - began, error=error)
        machine.served = True
        return Stood(machine.folder.name, reused, time.monotonic() - began, ready)

    def hand_back(self, name: str) -> None:
        """A trial is over: the next may have its machine."""
        self._named(name).in_use = False

    def interrupt(self, name: str | None = None) -> None:
        """Have what is being stood up (on one machine, or all) give up at its next look."""
        for machine in self._machines:
            if machine.context is not None and name in (None, machine.folder.name):
                machine.context.stop.set()

    def spent_usd(self, name: str | None = None) -> float | None:
        """What a machine, or all of them, has cost to this moment; None where a price is unknown."""
        ledgers = [one.ledger for one in self._machines if name in (None, one.folder.name)]
        return bill.spent_usd([entry for ledger in ledgers if ledger is not None for entry in ledger.lives()])

    def end(self) -> None:
        """Take all of them down, those that an earlier process of the search has left, too. Raises FmloadError with
        what could not be deleted."""
        problems = list[str]()
        for machine in self._machines:
            try:
                self._remove(machine)
            except FmloadError as error:
                problems.append(str(error))
        if problems:
            raise FmloadError("\n".join(problems))

    def _taken(self, key: str) -> tuple[_Machine, Sequence[_Machine]]:
        """The machine for a trial, and those that must go to make room for it."""
        with self._lock:
            free = [one for one in self._machines if not one.in_use and one.stands]
            machine = next((one for one in free if one.key == key), None) or self._new(key)
            machine.in_use = True
            busy = sum(one.in_use for one in self._machines)
            idle = [one for one in free if one is not machine]
            going = idle[:max(0, busy + len(idle) - self._most)]
            for one in going:
                one.in_use = True  # nobody takes it any more
            return machine, going

    def _new(self, key: str) -> _Machine:
        folder = self._root / f"{len(self._machines):02d}"
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / _KEY, json.dumps({"key": key}), durable=False)
        self._machines.append(_Machine(folder, key))
        return self._machines[-1]

    def _is_there(self, machine: _Machine) -> bool:
        """Whether it stands; an emulated account that went with its process is gone, and so is all that it held."""
        if (ledger := machine.ledger) is not None and any(
                vanished(entry.resource) for entry in ledger.entries() if entry.up):
            self._removed(machine)
            machine.in_use = True
        return machine.stands

    def _served(self, machine: _Machine, run: RunFile, folder: Path) -> RunFile:
        """The run with the machine's address, leases renewed from now on."""
        context = replace(self._hands.context(run, Results(machine.folder).create()), run_folder=folder, shared=True)
        machine.context, name = context, run.endpoints[0].name
        as_machine = _renamed(run, f"machine-{machine.folder.name}")  # all that is made of it bears one name
        self._hands.look(as_machine, context)
        machine.inside.close()  # of the trial before
        machine.inside.enter_context(self._hands.watching(context))
        return _renamed(self._hands.up(as_machine, context), name)

    def _removed(self, machine: _Machine) -> bool:
        """Whether it could be taken down; what could not is tried again in the end."""
        try:
            self._remove(machine)
        except FmloadError as error:
            (machine.context or self._hands.context_of(Ledger.open(machine.folder / NAME))).say(str(error))
            return False
        return True

    def _remove(self, machine: _Machine) -> None:
        machine.inside.close()
        if machine.stands and (ledger := machine.ledger) is not None:
            self._hands.down(machine.context or self._hands.context_of(ledger))
        machine.in_use, machine.served = False, False

    def _named(self, name: str) -> _Machine:
        return next(one for one in self._machines if one.folder.name == name)


def _renamed(run: RunFile, name: str) -> RunFile:
    [spec] = run.endpoints
    return run.model_copy(update={"endpoints": [spec.model_copy(update={"name": name})]})


def _found(folder: Path) -> _Machine:
    return _Machine(folder, str(json.loads((folder / _KEY).read_text(encoding="utf-8"))["key"]))
