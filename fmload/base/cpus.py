"""How many cores this process may use."""

from __future__ import annotations

import os


def usable_cpus() -> int:
    """Those that it may run on, where the system tells; else all of the machine."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
