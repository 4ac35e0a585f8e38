"""Endpoints that would not answer their first request: the others are measured, where the load can do without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fmload.base.errors import EXIT_INVALID, FmloadError
from fmload.config.schema import RunFile
from fmload.model.stage import Stage, StageMark

REFUSED = "endpoint_refused"


def require_others(run: RunFile, refused: Mapping[str, str]) -> None:
    """Raises FmloadError, with what each was told, where no endpoint is left, or where the load needs them all: a mix,
    a search, and users of a scenario, who choose among them."""
    left = any(endpoint.name not in refused for endpoint in run.endpoints)
    together = run.load.mix or run.load.find is not None or any(spec.scripted for spec in run.prompts)
    if refused and (together or not left):
        raise FmloadError("\n".join(refused.values()), exit_code=EXIT_INVALID)


def mark(stages: Sequence[Stage], refused: Mapping[str, str], now_ns: int) -> None:
    """Say in the stages of these endpoints why they are not run. They stay open: a run that is resumed tries again."""
    for stage in stages:
        if stage.endpoint in refused and stage.status == "pending":
            stage.marks.append(StageMark(REFUSED, now_ns, None, refused[stage.endpoint]))
