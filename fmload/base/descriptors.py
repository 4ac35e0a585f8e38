"""How many files and connections this process may have open."""

from __future__ import annotations

import errno
import resource

ENOUGH = 1 << 16

# What the operating system of the load generator itself is short of: descriptors, ports, memory.
SHORTAGES = {errno.EMFILE: "file descriptors of this process", errno.ENFILE: "file descriptors of this host",
             errno.EADDRNOTAVAIL: "local ports", errno.ENOBUFS: "network buffers", errno.ENOMEM: "memory"}


def raise_limit() -> int:
    """Raise the soft limit as far as the hard one allows, and as is of use; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def shortage(error: OSError) -> str | None:
    """What this host is short of; None for an error of another kind."""
    return SHORTAGES.get(error.errno or 0)
