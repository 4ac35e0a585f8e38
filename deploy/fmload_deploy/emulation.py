"""Targets on an emulated AWS: the control plane on this host, answers from the emulator. Nothing leaves the machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from fmload.base.errors import FmloadError
from fmload_deploy.base import Context
from fmload_deploy.local.processes import Process, alive, ensure_process, log_tail, process_resource, start
from fmload_deploy.local.target import emulator_url, start_emulator
from fmload_deploy.resource import Resource
from fmload_deploy.wait import wait_for

_START_LIMIT_S = 120.0
REGION = "us-east-1"


class Emulation:
    """What stands in for AWS when a target has an emulator `profile`; empty when it has none."""

    def __init__(self, endpoint: str, profile: str | None, context: Context, scenario: str | None = None) -> None:
        self.endpoint, self.profile, self.context, self.scenario = endpoint, profile, context, scenario
        self._control_url: str | None = None
        self._data_url: str | None = None

    def resources(self) -> tuple[Resource, ...]:
        """The processes: the control plane, then the data plane."""
        return (self._process("aws"), self._process("emulator")) if self.profile else ()

    def notes(self) -> tuple[str, ...]:
        """For the plan."""
        return (f"emulated on this host, profile {self.profile}: nothing is created in AWS",) if self.profile else ()

    def up(self) -> tuple[Resource, ...]:
        """Start both; nothing where there is no profile."""
        if self.profile is None:
            return ()
        if find_spec("moto") is None:
            raise FmloadError(f"{self.endpoint}: an emulated AWS needs moto", hint="pip install 'fmload[emulated-aws]'")
        control, self._control_url = self._serve_aws()
        name = f"{self.endpoint}-emulator"
        self._end_another(self._process("emulator"))
        data = start_emulator(self.context, self.endpoint, name, [self.profile], {})
        self._data_url = emulator_url(self.context, name, data, _START_LIMIT_S)
        return control, data

    def detail(self) -> dict[str, Any]:
        """What resources must remember to be found again: where their control plane was."""
        return {"endpoint_url": self._control_url} if self._control_url else {}

    def settings(self) -> dict[str, Any]:
        """The run file's keys that send the load to the data plane."""
        if self._data_url is None:
            return {}
        return {"url": self._data_url, "emulated": self.profile, "region": self.context.region or REGION}

    def role(self) -> str | None:
        """An execution role that the emulated AWS takes."""
        return "arn:aws:iam::123456789012:role/emulated" if self.profile else None

    def _end_another(self, process: Resource) -> None:
        """End the data plane where it answers as something else than what is wanted now."""
        standing = self.context.ledger.standing(process)
        if standing is not None and standing.resource.detail.get("serves", self.profile) != self.profile:
            Process().delete(process, self.context)
            self.context.ledger.write("deleted", process, self.endpoint)

    def _process(self, part: str) -> Resource:
        return process_resource(f"{self.endpoint}-{part}", self.context)

    def _serve_aws(self) -> tuple[Resource, str]:
        ready = self.context.logs / f"{self.endpoint}-aws.ready.json"
        log = self.context.logs / f"{self.endpoint}-aws.log"
        resource = self._process("aws")

        def create() -> Mapping[str, Any]:
            ready.unlink(missing_ok=True)
            command = [sys.executable, "-P", "-m", "fmload_deploy.emulated_aws", "--ready-file", str(ready),
                       *(["--scenario", self.scenario] if self.scenario else [])]
            return start(resource, command, {}, log, self.context.keep)

        def look() -> str | None:
            if ready.exists():
                return str(json.loads(ready.read_text())["url"])
            if not alive(made):
                raise FmloadError(f"{made} ended while starting; the end of {log}:{log_tail(log)}")
            return None

        made = ensure_process(self.context, self.endpoint, resource, create)
        return made, wait_for(f"{self.endpoint}: the emulated AWS", look, self.context, _START_LIMIT_S, 0.1)
