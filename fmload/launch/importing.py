"""Locust on its way: a process of its own imports it from the moment that `fmload run` knows its options, beside all
that the command itself imports, checks and makes before its load. So this module imports little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fmload.launch import forks, parent
from fmload.launch.memory_file import memory_file


@dataclass(frozen=True, slots=True)
class Locust:
    """What has imported Locust, or will have: `start` starts the processes of a run, once, when their run file is
    written."""

    run_file: int  # the descriptor of a file that is empty yet
    start: forks.Start


@contextmanager
def locust_imported() -> Iterator[Locust]:
    """Locust is imported from now on; what has imported it ends with the block, if it has not yet."""
    with memory_file() as run_file, forks.started(_environment(), run_file) as start:
        yield Locust(run_file, start)


def _environment() -> dict[str, str]:
    """This process's environment without Locust's own settings, which would change the run; no module is taken from
    the working folder, which may hold an `http.py`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOCUST_", "FMLOAD_OUT"))}
    return {**kept, **parent.told_to_children(), "PYTHONSAFEPATH": "1"}
