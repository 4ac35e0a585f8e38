"""`fmload deploy check`: every endpoint that is to be deployed, from the tables and, unless offline, by asking AWS."""

from __future__ import annotations

from collections.abc import Callable

from fmload.base.errors import FmloadError
from fmload.config.schema import RunFile
from fmload_deploy.account import region_of
from fmload_deploy.aws import Aws
from fmload_deploy.check.offline import offline
from fmload_deploy.check.online import online, room
from fmload_deploy.check.rows import Row


def checked(run_file: RunFile, aws: Aws | None) -> list[Row]:
    """The rows of every endpoint; those that need an account only with `aws`."""
    rows: list[Row] = []
    for spec in run_file.endpoints:
        if spec.deploy is not None:
            region = region_of(spec, run_file.region)
            rows += offline(spec, region)
            if aws is not None and not getattr(spec.deploy.options, "emulator", None):
                rows += online(spec, region, aws)
    return rows


def before_creation(run_file: RunFile, aws: Aws, say: Callable[[str], None]) -> None:
    """Raises FmloadError, all of it at once, when the region does not offer what is asked for or a quota is too small.

    What the tables find wanting is said only: they reckon, and do not know.
    """
    short: list[Row] = []
    for spec in run_file.endpoints:
        if spec.deploy is None or getattr(spec.deploy.options, "emulator", None):
            continue
        region = region_of(spec, run_file.region)
        for row in offline(spec, region):
            if row.missing:
                say(f"{row.endpoint}: {row.what}: {row.detail} ({row.remedy})")
        short += [row for row in room(spec, region, aws) if row.missing]
    if short:
        raise FmloadError("; ".join(f"{row.endpoint}: {row.what}: {row.detail}" for row in short),
                          hint="; ".join(row.remedy for row in short))
