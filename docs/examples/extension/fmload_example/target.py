"""A deploy target: makes a folder, as a server would need one, and names an address that is there already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmload.config.model import Strict
from fmload.config.schema import EndpointSpec
from fmload_deploy.base import Context, Deployment, Plan
from fmload_deploy.create import ensure
from fmload_deploy.resource import Resource


class Folder:
    """`deploy: {target: folder, path: …, url: …}`."""

    class Options(Strict):
        """Its keys."""

        path: str
        url: str

    def __init__(self, spec: EndpointSpec, context: Context) -> None:
        assert spec.deploy is not None
        self.spec, self.context, self.options = spec, context, spec.deploy.options
        self.folder = Resource("example-folder", self.options.path)

    def plan(self) -> Plan:
        return Plan(self.spec.name, "folder", (self.folder,))

    def up(self) -> Deployment:
        def create() -> Mapping[str, Any]:
            Path(self.options.path).mkdir()
            return {}

        made = ensure(self.context, self.spec.name, self.folder, create)
        return Deployment(self.spec.name, {"url": self.options.url}, (made,))
