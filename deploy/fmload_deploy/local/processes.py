"""Processes of this host as resources: started with the run's mark in their environment, found and ended by it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from fmload.base.errors import FmloadError
from fmload_deploy.base import Context
from fmload_deploy.create import ensure
from fmload_deploy.resource import Resource

MARK = "FMLOAD_RESOURCE"
_KEPT = "FMLOAD_KEPT"  # set for those that nobody holds, on purpose
_POLITE_S = 10.0


def process_resource(name: str, context: Context) -> Resource:
    """The resource that `start` makes: costs nothing, lives on this host."""
    return Resource("process", f"{context.run_id}/{name}", detail={"host": socket.gethostname()})


def ensure_process(context: Context, endpoint: str, resource: Resource,
                   create: Callable[[], Mapping[str, Any]]) -> Resource:
    """As `ensure`; what a run that is gone has left dying is ended first, and not taken for what is wanted."""
    if resource.name not in _HELD and any(not _mark(process, _KEPT) for process in _marked(resource.name)):
        Process().delete(resource, context)
    return ensure(context, endpoint, resource, create)


def start(resource: Resource, command: Sequence[str], environment: Mapping[str, str], log: Path, keep: bool,
          cwd: str | None = None) -> Mapping[str, Any]:
    """Start `command` with its output in `log`; returns its `pid`.

    Unless `keep`, a keeper stands between: it ends the command as soon as this process is gone, however it went.
    Raises FmloadError when the command cannot be started.
    """
    marked = {**os.environ, **environment, MARK: resource.name, **({_KEPT: "1"} if keep else {})}
    keeper = [] if keep else [sys.executable, "-P", str(Path(__file__).with_name("keeper.py"))]
    with log.open("ab") as output:
        try:
            process = subprocess.Popen([*keeper, *command], env=marked, cwd=cwd, start_new_session=True, stdout=output,
                                       stdin=subprocess.DEVNULL if keep else subprocess.PIPE, stderr=subprocess.STDOUT)
        except OSError as error:
            raise FmloadError(f"cannot start {command[0]}: {error.strerror}", hint="check deploy.command") from error
    _HELD[resource.name] = process
    return {"pid": process.pid}


# The keeper reads end-of-file from the pipe that these hold open when this process is gone.
_HELD: dict[str, subprocess.Popen[bytes]] = {}


class Process:
    """A process and its descendants, known by the mark in their environment; a reused pid is no danger."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        _refuse_other_host(resource)
        processes = _marked(resource.name)
        return {"pid": processes[0].pid} if processes else None

    def delete(self, resource: Resource, context: Context) -> None:
        _refuse_other_host(resource)
        for end in (psutil.Process.terminate, psutil.Process.kill):
            processes = _marked(resource.name)
            for process in processes:
                _signal(process, end)
            psutil.wait_procs(processes, timeout=_POLITE_S)
        if (held := _HELD.pop(resource.name, None)) is not None:
            held.wait(_POLITE_S)
            if held.stdin is not None:
                held.stdin.close()


def alive(resource: Resource) -> bool:
    """Whether the process that `start` started still runs (its pid is in the resource's detail)."""
    try:
        return bool(psutil.Process(resource.detail["pid"]).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def log_tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented, for an error message; empty when there is none."""
    if not log.exists():
        return ""
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "".join(f"\n    {line}" for line in tail)


def _marked(name: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _mark(process) == name]


def _mark(process: psutil.Process, name: str = MARK) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.environ().get(name)
    except (psutil.Error, OSError):  # gone meanwhile, or another user's
        return None


def _signal(process: psutil.Process, end: Any) -> None:
    try:
        end(process)
    except psutil.NoSuchProcess:
        return


def _refuse_other_host(resource: Resource) -> None:
    host = resource.detail.get("host")
    if host not in (None, socket.gethostname()):
        raise FmloadError(f"{resource} runs on {host}, not here", hint=f"run 'fmload deploy down' on {host}")
