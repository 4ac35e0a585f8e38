"""Target `local`: the emulator, or any command that serves a model on this host."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from pydantic import Field

from deploy.base import Context, Deployment, Plan, Resource
from deploy.health import healthy
from deploy.processes import alive, ensure_process, log_tail, process_resource, start
from deploy.wait import wait_for
from fmload.config.model import Rule, Strict
from fmload.config.schema import EndpointSpec
from fmload.config.values import Seconds
from fmload.errors import FmloadError


class Options(Strict):
    """Keys of `deploy: {target: local, ...}`."""

    emulator: str | None = Field(None, description="profile of the emulator, for example llama3-8b-g5.2xlarge")
    emulator_options: list[str] = Field(default_factory=list, description="of fmload emulate, such as --prefix-cache")
    command: list[str] | None = Field(None, description="a command that serves; {port} becomes a free port")
    url: str = Field("http://127.0.0.1:{port}/v1", description="base URL of what the command serves")
    health: str = Field("/health", description="path or URL that answers 2xx once the model is loaded")
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    start_timeout_s: Seconds = Field(900.0, alias="start_timeout")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if ("emulator" in given) == ("command" in given):
            yield "", "give either emulator (a profile) or command (a list)"
        if given.get("emulator_options") and "command" in given:
            yield "emulator_options", "goes with emulator"


class Local:
    """One process on this host, ended with the run."""

    Options = Options

    def __init__(self, spec: EndpointSpec, context: Context) -> None:
        assert spec.deploy is not None
        self.spec, self.context = spec, context
        self.options: Options = spec.deploy.options
        self.resource = process_resource(spec.name, context)

    def plan(self) -> Plan:
        what = f"the emulator, profile {self.options.emulator}" if self.options.emulator else self.options.command
        return Plan(self.spec.name, "local", (self.resource,), notes=(f"runs {what} on this host",))

    def up(self) -> Deployment:
        return self._emulator() if self.options.emulator else self._command(self.options.command or [])

    def _emulator(self) -> Deployment:
        profile = self.options.emulator or ""
        made, url = serve_emulator(self.context, self.spec.name, self.resource,
                                   [profile, *self.options.emulator_options], self.options.env,
                                   self.options.start_timeout_s)
        base = f"{url}/v1" if self.spec.protocol == "openai" else url
        return Deployment(self.spec.name, {"url": base, "emulated": profile}, (made,))

    def _command(self, command: list[str]) -> Deployment:
        log = self.context.logs / f"{self.spec.name}.log"
        port = free_port()
        argv = [part.replace("{port}", str(port)) for part in command]

        def create() -> Mapping[str, Any]:
            started = start(self.resource, argv, self.options.env, log, self.context.keep, self.options.cwd)
            return {**started, "port": port}

        made = ensure_process(self.context, self.spec.name, self.resource, create)
        url = self.options.url.replace("{port}", str(made.detail["port"]))
        health = urljoin(url, self.options.health)
        wait_for(f"{self.spec.name}: {health}", lambda: _healthy(health, made, log), self.context,
                 self.options.start_timeout_s, 0.5, hint=f"its output is in {log}; deploy.start_timeout is the limit")
        return Deployment(self.spec.name, {"url": url}, (made,))


def serve_emulator(context: Context, endpoint: str, resource: Resource, profile: Sequence[str], env: Mapping[str, str],
                   limit_s: float) -> tuple[Resource, str]:
    """Start the emulator with a profile and further options; returns the process and its URL (no path). Its truth goes
    beside the logs."""
    ready, log = context.logs / f"{endpoint}.ready.json", context.logs / f"{endpoint}.log"

    def create() -> Mapping[str, Any]:
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "fmload.emulator", "--profile", *profile, "--port", "0",
                   "--ready-file", str(ready), "--truth", str(context.logs / f"{endpoint}.truth")]
        return start(resource, command, env, log, context.keep)

    made = ensure_process(context, endpoint, resource, create)
    url = wait_for(f"{endpoint}: the emulator", lambda: _ready_url(ready, made, log), context, limit_s, 0.1)
    return made, url


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ready_url(ready: Path, resource: Resource, log: Path) -> str | None:
    if not ready.exists():
        _still_runs(resource, log)
        return None
    try:
        said = json.loads(ready.read_text())
    except json.JSONDecodeError:  # being written
        return None
    return str(said["url"]).rstrip("/")


def _healthy(url: str, resource: Resource, log: Path) -> bool | None:
    _still_runs(resource, log)
    return True if healthy(url) else None


def _still_runs(resource: Resource, log: Path) -> None:
    if not alive(resource):
        raise FmloadError(f"{resource} ended while starting; the end of {log}:{log_tail(log)}",
                          hint="the command and its environment are under deploy in the run file")
