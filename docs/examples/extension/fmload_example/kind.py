"""A kind of resource: a folder on this host. `fmload deploy down` needs no more than this and the ledger."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmload_deploy.base import Context
from fmload_deploy.resource import Resource


class FolderKind:
    """`example-folder`: found by its path, deleted with what is in it."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        return {} if Path(resource.name).exists() else None

    def delete(self, resource: Resource, context: Context) -> None:
        shutil.rmtree(resource.name, ignore_errors=True)
