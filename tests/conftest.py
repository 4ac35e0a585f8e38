"""What all tests share: skips are failures where everything is installed (FMLOAD_NO_SKIP=1)."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from fmload.base import redaction

# A deadline would be a timed assertion. FMLOAD_EXAMPLES=1000 looks longer.
settings.register_profile("fmload", deadline=None, max_examples=int(os.environ.get("FMLOAD_EXAMPLES", "25")))
settings.load_profile("fmload")


@pytest.fixture(autouse=True)
def secrets_of_one_test() -> Iterator[None]:
    """What a test protects is not blanked out in the next one's texts."""
    before = dict(redaction._forms)
    yield
    redaction._forms.clear()
    redaction._forms.update(before)


@pytest.fixture(scope="module")
def aws_credentials() -> Iterator[None]:
    """Placeholder credentials for unmodified boto3 clients that call an emulator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        yield


def pytest_configure() -> None:
    """In a shell's background SIGINT is ignored, also by every process that a test starts to interrupt it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m alone` imports the files alone that have such tests: all the others take longer to import than many run."""
    if config.option.markexpr != "alone" or not collection_path.name.startswith("test_"):
        return None
    return "mark.alone" not in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_finish() -> None:
    """What is imported and collected stays to the end: the garbage collector need not look at it again and again."""
    gc.freeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("FMLOAD_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
