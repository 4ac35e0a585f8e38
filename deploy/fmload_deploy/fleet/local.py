"""Fleet target `local`: every host is a process here, with one worker; a rehearsal, or cores bound one by one."""

from __future__ import annotations

import shlex
import socket
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.model import Strict
from fmload_deploy.base import Context, Plan
from fmload_deploy.fleet.base import Fleet
from fmload_deploy.fleet.host import Config
from fmload_deploy.fleet.mailbox import RUN, Folder
from fmload_deploy.local.processes import Process, ensure_process, log_tail, process_resource, start
from fmload_deploy.resource import Resource

_GRACE_S = 60.0  # workers outlive their master's lease by so much: it drains what is in flight


class Options(Strict):
    """Flags of `--target local`."""

    enter: str | None = Field(None, description="what goes before each host's command, {index} its number (0: the "
                                                "master): 'taskset -c {index}', 'ip netns exec load-{index}'")
    address: str = Field("127.0.0.1", description="where the workers reach the master")
    port: int | None = Field(None, ge=1, le=65535, description="of the master; default: a free one")


class Local:
    """Processes on this host that outlive the command, and end with their lease."""

    Options = Options
    HERE = True
    look_every_s = 0.5

    def __init__(self, fleet: Fleet, context: Context) -> None:
        self.fleet, self.context = fleet, context
        self.options = Options.model_validate(fleet.options)
        self.folder = context.ledger.path.parent.resolve()

    def plan(self) -> Plan:
        return Plan(self.fleet.name, "local", tuple(self._hosts()), notes=(
            f"a master and {self.fleet.workers} workers on this host, which share its cores",))

    def up(self, run: Path, secrets: Mapping[str, str]) -> None:
        self.mailbox().send(RUN, run)
        port = self.options.port or _free_port()
        until = time.time() + self.fleet.lease_s
        for index, host in enumerate(self._hosts()):
            command = self._command(index, port, until)
            ensure_process(self.context, self.fleet.name, host, partial(
                start, host, command, secrets, self._log(host), keep=True))

    def mailbox(self) -> Folder:
        return Folder(self.folder / "mailbox")

    def running(self) -> tuple[int, int]:
        hosts = self._hosts()
        return sum(Process().find(host, self.context) is not None for host in hosts), len(hosts)

    def look(self) -> None:
        master = self._hosts()[0]
        if Process().find(master, self.context) is None:
            log = self._log(master)
            raise FmloadError(f"{master} has ended; the end of {log}:{log_tail(log)}")

    def _log(self, host: Resource) -> Path:
        return self.context.logs / f"{host.name.partition('/')[2]}.log"

    def _hosts(self) -> list[Resource]:
        names = ["master", *(f"worker-{number:02d}" for number in range(self.fleet.workers))]
        return [process_resource(f"{self.fleet.name}-{name}", self.context) for name in names]

    def _command(self, index: int, port: int, until: float) -> list[str]:
        master = index == 0
        config = Config(str(self.folder / "hosts" / f"{index:02d}"), str(self.folder / "mailbox"), port,
                        0 if master else 1, self.options.address, self.fleet.workers if master else None,
                        until if master else until + _GRACE_S)
        before = shlex.split((self.options.enter or "").replace("{index}", str(index)))
        return [*before, sys.executable, "-P", "-m", "fmload_deploy.fleet.host", config.text()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
