"""The script that a new instance runs first: containers, load balancer between copies, the watch that tells how they
do, and the lease that ends it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from fmload.base.errors import FmloadError
from fmload_deploy.ec2.options import STATUS_PORT
from fmload_deploy.images import Accelerator

LIMIT_BYTES = 16_384  # EC2 takes no more
_BEHIND_BALANCER = 18_000  # first port of the copies when a balancer stands before them
_TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of the model: its port on the host and docker's options for its share of the accelerators."""

    index: int
    port: int
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """What the script is made from. `registry` is set for images that need a login to ECR."""

    run_id: str
    region: str
    image: str
    container_port: int
    port: int
    copies: tuple[Copy, ...]
    arguments: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    after_start: Sequence[str] = ()
    hf_token_secret: str | None = None
    first_lease_s: int = 3600
    health: str = "/health"
    artifacts: str | None = None

    @property
    def registry(self) -> str | None:
        """The private ECR registry of the image, None for public images."""
        host = self.image.partition("/")[0]
        return host if ".dkr.ecr." in host else None

    def text(self) -> str:
        """The script. Raises FmloadError when it is longer than EC2 takes."""
        text = _render("user-data.sh.j2", **self._values())
        if len(text.encode()) > LIMIT_BYTES:
            raise FmloadError(f"the instance's start script has {len(text.encode())} bytes; EC2 takes {LIMIT_BYTES}",
                              hint="shorten env or args")
        return text


    def anew(self) -> str:
        """The script that puts these containers in the place of those which an instance of fmload's runs."""
        return _render("serve-anew.sh.j2", **self._values())

    @property
    def serves(self) -> str:
        """A digest of what it makes an instance serve."""
        said = {name: getattr(self, name) for name in self.__slots__ if name not in ("run_id", "first_lease_s")}
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]

    def _values(self) -> dict[str, Any]:
        balancer = _render("nginx.conf.j2", copies=self.copies, port=self.port) if len(self.copies) > 1 else None
        return {name: getattr(self, name) for name in self.__slots__} | {
            "balancer": balancer, "env": sorted((self.env or {}).items()), "registry": self.registry,
            "watch": json.dumps(watch_config(self)), "watcher": _watcher(), "status_port": STATUS_PORT}


def watch_config(script: Script) -> dict[str, Any]:
    """What templates/instance_watch.py is told: whom to look at, and where things are on the instance."""
    balancer = {"nginx": "/etc/fmload/nginx.conf"} if len(script.copies) > 1 else {}
    return {"copies": [{"index": copy.index, "port": copy.port} for copy in script.copies], "health": script.health,
            "status_port": STATUS_PORT, "state": "/var/lib/fmload/failed", "console": "/var/log/fmload.log", **balancer}


@cache
def _watcher() -> str:
    """The watch, packed: EC2 takes little."""
    return base64.encodebytes(gzip.compress((_TEMPLATES / "instance_watch.py").read_bytes(), mtime=0)).decode().strip()


def copies_of(wanted: int | None, tensor_parallel: int, accelerator: Accelerator, devices: int, cores: int,
              port: int) -> tuple[Copy, ...]:
    """The copies of a model on an instance with `devices` accelerators (`cores` cores in all, for Neuron).

    `wanted` None: as many as fit. `tensor_parallel` counts GPUs or NeuronCores of one copy; a Neuron device goes to one
    copy only, so that a copy takes whole devices. Raises FmloadError when they do not fit.
    """
    each = -(-tensor_parallel * devices // cores) if accelerator == "neuron" and cores else tensor_parallel
    fit = devices // each
    count = fit if wanted is None else wanted
    if not 1 <= count <= fit:
        raise FmloadError(f"{count} copies of {each} accelerator devices each do not fit on {devices}",
                          hint=f"model_copies: {fit} is the most" if fit else "a smaller tensor_parallel or a larger "
                               "instance")
    ports = [port] if count == 1 else [_BEHIND_BALANCER + index for index in range(count)]
    return tuple(Copy(index, ports[index], _device_options(accelerator, range(index * each, (index + 1) * each)))
                 for index in range(count))


def _device_options(accelerator: Accelerator, devices: range) -> tuple[str, ...]:
    if accelerator == "gpu":
        return (f"--gpus '\"device={','.join(map(str, devices))}\"'",)
    return (*(f"--device=/dev/neuron{device}" for device in devices), "--cap-add SYS_ADMIN", "--cap-add IPC_LOCK")


def _render(name: str, **values: object) -> str:
    return environment().get_template(name).render(**values)


@cache
def environment() -> jinja2.Environment:
    """What renders the scripts of instances; `quote` is the shell's."""
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(_TEMPLATES),
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                                     autoescape=False)
    made.filters["quote"] = lambda value: shlex.quote(str(value))
    return made
