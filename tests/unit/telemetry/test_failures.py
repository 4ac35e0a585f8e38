"""What a failed collector is told of: what happened, in the source's words, and what to do about it."""

from __future__ import annotations

import subprocess
import urllib.error
from email.message import Message

import pytest

from fmload.base.errors import FmloadError
from fmload.telemetry.failures import failure, shown


def refused(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("http://user:secret@host:9090/metrics?token=secret", code, "No", Message(), None)


@pytest.mark.parametrize(("error", "message", "remedy"), [
    (refused(401), "HTTP 401", "credentials"), (refused(404), "HTTP 404", "--metrics"), (refused(500), "500", "log"),
    (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused", "runs"),
    (TimeoutError(), "no answer in time", "timeout"),
    (subprocess.TimeoutExpired(["docker", "stats"], 15), "docker did not end within 15 s", "hangs"),
    (FileNotFoundError(2, "No such file", "nvidia-smi"), "no command 'nvidia-smi'", "install"),
    (PermissionError(13, "Permission denied", "nvidia-smi"), "'nvidia-smi' may not be run", "install"),
    (KeyboardInterrupt(), "interrupted", "delay"), (FmloadError("what", "do this"), "what", "do this")])
def test_a_failure_is_told_with_its_remedy(error: BaseException, message: str, remedy: str) -> None:
    told = failure(error)
    assert message in told.message and remedy in (told.hint or "")
    assert "secret" not in told.message


def test_a_strangers_words_are_repeated_as_they_are() -> None:
    assert failure(RuntimeError("nvidia-smi: no devices")).message == "nvidia-smi: no devices"
    assert failure(KeyError("Name")).message == "KeyError: 'Name'"


def test_an_address_is_shown_without_what_may_be_secret() -> None:
    assert shown("https://user:secret@host:9090/a/b?token=secret") == "https://host:9090/a/b"
