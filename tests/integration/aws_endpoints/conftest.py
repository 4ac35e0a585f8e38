"""Emulators of SageMaker's and Bedrock's runtimes, as processes on free ports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import emulators
from tests.emulators import Emulator

Server = dict[str, Any]
Start = Callable[..., Server]


@pytest.fixture(autouse=True, scope="module")
def _no_account() -> Iterator[None]:
    """Placeholder credentials for the unmodified boto3 clients; nothing outside this host is ever asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-secret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, os.devnull)
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_CA_BUNDLE", "AWS_BEARER_TOKEN_BEDROCK"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts an emulator with further options; gives its ready file, with the truth log's path as `truth`."""
    running: list[Emulator] = []

    def start_one(*options: str) -> Server:
        folder = tmp_path_factory.mktemp("emulator")
        ready, log, truth = (folder / name for name in ("ready.json", "log", "truth"))
        running.append(emulators.start(["--port", "0", "--ready-file", str(ready), "--truth", str(truth), *options],
                                       log))
        return {**emulators.ready(running[-1], ready, log), "truth": truth}
    yield start_one
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)
