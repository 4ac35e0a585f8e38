"""The master's host of a fleet: what its mailbox does to the run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload_deploy.fleet import host
from fmload_deploy.fleet.mailbox import STATUS, Folder


class Fickle(Folder):
    """A mailbox that refuses the first words, as a full disk or a network that is away does."""

    def __init__(self, root: Path, errors: list[Exception]) -> None:
        super().__init__(root)
        self.errors = errors

    def write(self, name: str, text: str) -> None:
        if self.errors:
            raise self.errors.pop()
        super().write(name, text)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), FmloadError("S3 does not answer")])
def test_a_status_that_cannot_be_written_does_not_end_the_run(tmp_path: Path, error: Exception) -> None:
    box = Fickle(tmp_path, [error, error])
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        def read(name: str) -> str | None:  # the run ends once something was told
            assert child.stdin is not None
            if (tmp_path / STATUS).exists() and not child.stdin.closed:
                child.communicate(b"\n")
            return None
        box.read = read  # type: ignore[method-assign]
        host._watch(host.Host(host.Config(str(tmp_path), str(tmp_path), 1, 0)), child, box, tmp_path, 0.001)
    finally:
        child.kill()
    assert child.returncode == 0
    assert json.loads((tmp_path / STATUS).read_text())["beat"] == 3


def test_what_the_mailbox_refuses_is_put_there_once_it_can_be(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "FIRST_PAUSE_S", 0.0)
    box = Fickle(tmp_path, [OSError(28, "No space left on device"), FmloadError("S3 broke off in the middle")])
    insist = host.Insistence(host.Host(host.Config(str(tmp_path), str(tmp_path), 1, 0)))
    insist(lambda: box.write(STATUS, "ended"))
    assert box.read(STATUS) == "ended"


def test_a_host_that_is_to_end_does_not_insist_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(host, "_TAKE_LIMIT_S", 0.0)
    errors: list[Exception] = [FmloadError("the bucket is gone") for _ in range(99)]
    ending = host.Host(host.Config(str(tmp_path), str(tmp_path), 1, 0, until=1.0))
    with pytest.raises(FmloadError, match="the bucket is gone"):
        host.Insistence(ending)(lambda: Fickle(tmp_path, errors).write(STATUS, "ended"))
    assert 90 < len(errors) < 99
