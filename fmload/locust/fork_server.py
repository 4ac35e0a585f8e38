"""`python -m fmload.locust.fork_server`: imports Locust once, and forks the master and the workers of a run.

`fmload.launch.forks` is its other end. This process says on stdout when it has imported all, is told by a JSON document
on stdin what to fork, says the pids, and ends: the forked processes belong to its parent then (see there). A stdin that
ends without a word is the end, too: its parent is gone, or needs nothing. Its own argument is not read; it is the room
for the command lines of the forked processes.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import sleep  # the system's own, before gevent has its way

from fmload.base.leaving import ended_by
from fmload.base.registry import installed_read_once

gc.disable()  # what imports make stays
with installed_read_once():  # Locust has gevent patch the system's modules, and that asks 25 times who wants to be told
    from gevent.os import fork_gevent
    from locust.main import main as locust_main

    import fmload.locust.plugin  # noqa: F401  # with all that it needs
    from fmload.locust.master_first import MasterFirst

_ARGUMENTS = slice(45, 47)  # of /proc/self/stat behind the name: where the command line begins, and ends


def main() -> None:
    """Fork what stdin says; in a forked process, be Locust."""
    os.write(1, b"ready\n")
    document = _read_all(0)
    if not document:
        return
    told = json.loads(document)
    os.environ.update(told["environment"])
    gc.freeze()  # what is shared stays shared: the collector writes into what it looks at
    pids: list[int] = []
    code = 0
    try:
        _fork_each(told["processes"], pids)
    except OSError as error:  # those that were forked before are told, too: somebody has to end them
        os.write(2, f"the system lets no more processes be forked: {error.strerror}\n".encode())
        code = 1
    os.write(1, json.dumps(pids).encode())
    os._exit(code)  # at once: the forked processes wait for it


def _fork_each(processes: Sequence[tuple[Sequence[str], str]], pids: list[int]) -> None:
    own, order = os.getpid(), MasterFirst()
    for command, log in processes:
        pid = fork_gevent()
        if not pid:
            ended_by(partial(_be, own, order, command, log))
        pids.append(pid)


def _be(forked_from: int, order: MasterFirst, command: Sequence[str], log: str) -> None:
    """A forked process, to its end."""
    while os.getppid() == forked_from:
        sleep(0.001)
    _become(command, log)
    gc.enable()
    if "--master" in command:
        order.as_master()
    else:
        order.as_worker()
    locust_main()  # type: ignore[no-untyped-call]


def _read_all(descriptor: int) -> bytes:
    parts = iter(lambda: os.read(descriptor, 1 << 16), b"")
    return b"".join(parts)


def _become(command: Sequence[str], log: str) -> None:
    """Be the process of a command (`python … -m fmload.locust …`), in a session of its own, as if started anew."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # by which a run is ended: a script's `&` has it ignored
    said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, descriptor in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(source, descriptor)
    os.close(nothing)
    os.close(said)
    sys.argv = list(command[command.index("-m") + 1:])
    _show(command)


def _show(command: Sequence[str]) -> None:
    """Have `ps` show this command line, as far as there is room in the one with which the process was started."""
    start, end = map(int, Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[_ARGUMENTS])
    words = b"\0".join(map(os.fsencode, command))[:end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, words, len(words))


if __name__ == "__main__":
    main()
