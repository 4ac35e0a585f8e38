"""Several hosts on one machine: a network namespace each, joined by a bridge, cables that can be pulled.

Loss is made by pulling a cable for a moment (TCP sees lost segments); delay by a relay (`relay.py`) on the way: both
work on kernels without netem, which many small virtual machines have.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

_NUMBERS = count()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20)


def why_not() -> str | None:
    """Why namespaces cannot be used here, with the remedy; None when they can."""
    name = f"fmload-try-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except FileNotFoundError:
        return "no `ip` command: install iproute2"
    except subprocess.CalledProcessError as error:
        return f"network namespaces are refused here ({error.stderr.strip()}): run as root, or with CAP_SYS_ADMIN"
    return None


@dataclass
class Host:
    """One host: `address` is reached from the others; processes started on it see only its own network."""

    name: str
    address: str
    namespace: str
    link: str
    _processes: list[subprocess.Popen[Any]] = field(default_factory=list)

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process on this host; it is ended with the host."""
        process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *command], **options)
        self._processes.append(process)
        return process

    def cut(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self.link, "up")

    def close(self) -> None:
        """End what was started here and remove the host."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(timeout=10)
        _ip("link", "del", self.link)
        _ip("netns", "del", self.namespace)


@contextmanager
def hosts(*names: str) -> Iterator[dict[str, Host]]:
    """Hosts by name on one network, 10.77.0.0/24, which nothing outside can reach."""
    # The kernel takes a removed host's links away in its own time: no name is used twice.
    tag = f"{os.getpid() % 10000}{next(_NUMBERS)}"
    bridge = f"fmb{tag}"
    _ip("link", "add", bridge, "type", "bridge")
    made: dict[str, Host] = {}
    try:
        _ip("link", "set", bridge, "up")
        for number, name in enumerate(names, start=1):
            made[name] = Host(name, f"10.77.0.{number}", f"fm-{tag}-{name}", f"fm{tag}-{number}")
            _plug_in(made[name], bridge)
        yield made
    finally:
        for host in made.values():
            host.close()
        _ip("link", "del", bridge)


def _plug_in(host: Host, bridge: str) -> None:
    _ip("netns", "add", host.namespace)
    _ip("link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    _ip("link", "set", host.link, "master", bridge, "up")
    _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
    _ip("-n", host.namespace, "link", "set", "eth0", "up")
    _ip("-n", host.namespace, "link", "set", "lo", "up")
