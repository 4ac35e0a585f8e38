"""What deploying is made of: resources, plans, deployments, and the two seams, targets and resource kinds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel

from fmload_deploy.resource import Resource, sum_or_none

if TYPE_CHECKING:
    from fmload.config.schema import EndpointSpec
    from fmload_deploy.aws import Aws
    from fmload_deploy.ledger import Ledger

STARTUP_S = {"gpu": 600.0, "neuron": 1200.0}  # by accelerator, typical, for the plan's estimate


@dataclass(frozen=True, slots=True)
class Plan:
    """What `up` will create for one endpoint. `commitment_usd` is owed as soon as it is bought, used or not."""

    endpoint: str
    target: str
    resources: tuple[Resource, ...]
    startup_s: float = 0.0
    commitment_usd: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def hourly(self) -> float | None:
        """USD per hour of all resources; None when one of the prices is unknown."""
        return sum_or_none(resource.hourly for resource in self.resources)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `up` made. `settings` are keys of the endpoint's entry in the run file that it fills in; `defaults` are
    such keys that it fills in only where the run file is silent.
    """

    endpoint: str
    settings: Mapping[str, Any]
    resources: tuple[Resource, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hourly(self) -> float | None:
        """USD per hour of all resources; None when one of the prices is unknown."""
        return sum_or_none(resource.hourly for resource in self.resources)


@dataclass(frozen=True, slots=True)
class Context:
    """What targets and kinds work with: the run they act for, where they write, and whom they tell."""

    ledger: Ledger
    logs: Path
    aws: Aws
    say: Callable[[str], None]
    region: str | None = None
    prices: Path | None = None  # the user's own price table
    keep: bool = False  # what is created outlives this process
    lease_s: float = 7200.0  # from its creation, what is created lives so long unless its lease is renewed
    stop: threading.Event = field(default_factory=threading.Event)
    run_folder: Path | None = None  # whose events tell how it does; None: where the ledger lies
    shared: bool = False  # what stands serves several runs in turn: it is made to serve what this one asks for

    @property
    def run_id(self) -> str:
        """The value of the tag on everything that the run creates."""
        return self.ledger.run_id


class Target(Protocol):
    """One way to stand an endpoint up. Built for one endpoint of the run file; nothing happens before `up`.

    `Options` declares the keys of the run file's `deploy` mapping. `up` creates through `create.ensure` alone, so that
    each resource is in the ledger before it exists, and continues where an earlier `up` of the same run ended.
    """

    Options: ClassVar[type[BaseModel]]

    def __init__(self, spec: EndpointSpec, context: Context) -> None: ...

    def plan(self) -> Plan: ...

    def up(self) -> Deployment: ...


class Kind(Protocol):
    """What can be done with one kind of resource, knowing no more than the ledger does.

    `find` returns what belongs in the resource's `detail` (ids; may be empty), None when it does not exist. `delete`
    returns once it is gone and is no error for what is gone already; what is still being created is waited for first.
    """

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None: ...

    def delete(self, resource: Resource, context: Context) -> None: ...
