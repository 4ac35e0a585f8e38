"""What this host is short of has a name; anything else has none."""

from __future__ import annotations

import errno
import resource

import pytest

from fmload.base.descriptors import raise_limit, shortage


@pytest.mark.parametrize(("number", "word"), [
    (errno.EMFILE, "descriptors of this process"), (errno.ENFILE, "descriptors of this host"),
    (errno.EADDRNOTAVAIL, "ports"), (errno.ENOBUFS, "buffers"), (errno.ENOMEM, "memory")])
def test_a_shortage_of_this_host_is_named(number: int, word: str) -> None:
    assert word in str(shortage(OSError(number, "x")))


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ETIMEDOUT, errno.ENOSPC])
def test_what_the_other_side_did_is_no_shortage(number: int) -> None:
    assert shortage(OSError(number, "x")) is None


def test_the_soft_limit_of_descriptors_is_raised_and_never_lowered() -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(64, hard), hard))
        assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(hard, 1 << 16)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
