"""How the processes that `fmload run` starts notice that it is gone."""

from __future__ import annotations

import os

VARIABLE = "FMLOAD_PARENT_PID"


def told_to_children() -> dict[str, str]:
    """What a child's environment says of this process."""
    return {VARIABLE: str(os.getpid())}


def parent() -> int | None:
    """The process that started this one as part of its run; None where nobody did."""
    told = os.environ.get(VARIABLE, "")
    return int(told) if told.isdigit() else None
