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

from fmload.base.errors import FmloadError
from fmload.config.model import Rule, Strict
from fmload.config.schema import EndpointSpec
from fmload.config.values import Seconds
from fmload.plugins import ENDPOINTS
from fmload_deploy.base import Context, Deployment, Plan
from fmload_deploy.local.health import healthy
from fmload_deploy.local.processes import alive, ensure_process, log_tail, process_resource, start
from fmload_deploy.resource import Resource
from fmload_deploy.wait import wait_for


class Options(Strict):
    """Keys of `deploy: {target: local, ...}`."""

    emulator: str | None = Field(None, description="profile of the emulator, for example llama3-8b-g5.2xlarge")
    instance_count: int = Field(1, ge=1, description="processes, each with an address of its own")
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
        texts = [given.get("url", "{port}"), " ".join(map(str, given.get("command") or ["{port}"]))]
        if given.get("instance_count", 1) != 1 and not all("{port}" in text for text in texts):
            yield "instance_count", "needs a {port} in command and url, so that each has an address of its own"


class Local:
    """Processes on this host, ended with the run; each serves the model at an address of its own."""

    Options = Options

    def __init__(self, spec: EndpointSpec, context: Context) -> None:
        assert spec.deploy is not None
        self.spec, self.context = spec, context
        self.options: Options = spec.deploy.options
        count = self.options.instance_count
        self.names = [spec.name] if count == 1 else [f"{spec.name}-{number}" for number in range(count)]

    def plan(self) -> Plan:
        what = f"the emulator, profile {self.options.emulator}," if self.options.emulator else self.options.command
        times = f" {len(self.names)} times" if len(self.names) > 1 else ""
        resources = tuple(process_resource(name, self.context) for name in self.names)
        return Plan(self.spec.name, "local", resources, notes=(f"runs {what}{times} on this host",))

    def up(self) -> Deployment:
        """All start before the first is waited for."""
        emulated = self.options.emulator
        made = [self._start_emulator(name) if emulated else self._start_command(name) for name in self.names]
        serving = self._emulator_url if emulated else self._command_url
        urls = [serving(name, resource) for name, resource in zip(self.names, made, strict=True)]
        where: dict[str, Any] = {"urls": urls} if len(urls) > 1 else {"url": urls[0]}
        return Deployment(self.spec.name, where | ({"emulated": emulated} if emulated else {}), tuple(made))

    def _start_emulator(self, name: str) -> Resource:
        return start_emulator(self.context, self.spec.name, name,
                              [self.options.emulator or "", *self.options.emulator_options], self.options.env)

    def _emulator_url(self, name: str, made: Resource) -> str:
        url = emulator_url(self.context, name, made, self.options.start_timeout_s)
        return url + getattr(ENDPOINTS.load(self.spec.protocol), "BASE_PATH", "")

    def _start_command(self, name: str) -> Resource:
        port, resource = free_port(), process_resource(name, self.context)
        command = [part.replace("{port}", str(port)) for part in self.options.command or ()]

        def create() -> Mapping[str, Any]:
            started = start(resource, command, self.options.env, self._log(name), self.context.keep, self.options.cwd)
            return {**started, "port": port}

        return ensure_process(self.context, self.spec.name, resource, create)

    def _command_url(self, name: str, made: Resource) -> str:
        url, log = self.options.url.replace("{port}", str(made.detail["port"])), self._log(name)
        health = urljoin(url, self.options.health)
        wait_for(f"{name}: {health}", lambda: _healthy(health, made, log), self.context, self.options.start_timeout_s,
                 0.5, hint=f"its output is in {log}; deploy.start_timeout is the limit")
        return url

    def _log(self, name: str) -> Path:
        return self.context.logs / f"{name}.log"


def start_emulator(context: Context, endpoint: str, name: str, profile: Sequence[str],
                   env: Mapping[str, str]) -> Resource:
    """Start an emulator of an endpoint with a profile and further options; `emulator_url` waits for it. Its truth goes
    beside the logs, under the emulator's name."""
    resource = process_resource(name, context)
    files = {suffix: context.logs / f"{name}.{suffix}" for suffix in ("ready.json", "log", "truth")}

    def create() -> Mapping[str, Any]:
        files["ready.json"].unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "fmload.emulator", "--profile", *profile, "--port", "0",
                   "--ready-file", str(files["ready.json"]), "--truth", str(files["truth"])]
        return {**start(resource, command, env, files["log"], context.keep), "serves": " ".join(profile)}

    return ensure_process(context, endpoint, resource, create)


def emulator_url(context: Context, name: str, made: Resource, limit_s: float) -> str:
    """The URL (no path) of an emulator that was started, once it is ready."""
    ready, log = context.logs / f"{name}.ready.json", context.logs / f"{name}.log"
    return wait_for(f"{name}: the emulator", lambda: _ready_url(ready, made, log), context, limit_s, 0.1)


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
