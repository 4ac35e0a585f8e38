"""A fleet target: hosts that are processes of this one, behind everybody else (`nice`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fmload.config.model import Strict
from fmload_deploy.base import Context, Plan
from fmload_deploy.fleet.base import Fleet
from fmload_deploy.fleet.local import Local
from fmload_deploy.fleet.mailbox import Mailbox


class Nice:
    """`fmload fleet run CONFIG --target nice --niceness 5`."""

    class Options(Strict):
        """Its flags."""

        niceness: int = 10

    look_every_s = 0.5

    def __init__(self, fleet: Fleet, context: Context) -> None:
        options = self.Options.model_validate(fleet.options)
        self._hosts = Local(replace(fleet, options={"enter": f"nice -n {options.niceness}"}), context)

    def plan(self) -> Plan:
        return self._hosts.plan()

    def up(self, run: Path, secrets: Mapping[str, str]) -> None:
        self._hosts.up(run, secrets)

    def mailbox(self) -> Mailbox:
        return self._hosts.mailbox()

    def look(self) -> None:
        self._hosts.look()

    def running(self) -> tuple[int, int]:
        return self._hosts.running()
