"""An emulated AWS in a process of its own, reached by unmodified boto3 through AWS_ENDPOINT_URL."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from fmload.config.loading import parse
from fmload.config.schema import RunFile
from fmload.results.folder import Results
from fmload_deploy import lifecycle
from fmload_deploy.base import Context
from fmload_deploy.resource import RUN_TAG


class EmulatedAws:
    """The server and what tests ask of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        return boto3.client(service)

    def fail(self, action: str, code: str, message: str = "", times: int = 1, status: int = 400) -> None:
        """The next `times` calls of `action` fail with `code`."""
        self.post("/fmload/faults", action=action, code=code, message=message, times=times, status=status)

    def slow(self, describes: int) -> None:
        """New endpoints take so many describe calls to change their state."""
        self.post("/moto-api/state-manager/set-transition", model_name="sagemaker::endpoint",
                   transition={"progression": "manual", "times": describes})

    def calls(self) -> list[str]:
        with urllib.request.urlopen(self.url + "/fmload/calls", timeout=10) as answer:
            calls: list[str] = json.load(answer)
            return calls

    def tagged(self, run_id: str) -> list[str]:
        """ARNs that bear a run's tag."""
        pages = self.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(
            TagFilters=[{"Key": RUN_TAG, "Values": [run_id]}])
        return [found["ResourceARN"] for page in pages for found in page["ResourceTagMappingList"]]

    def post(self, path: str, **body: Any) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        urllib.request.urlopen(request, timeout=60).close()

    def delete(self, path: str) -> None:
        """Drop what is in force there."""
        urllib.request.urlopen(urllib.request.Request(self.url + path, method="DELETE"), timeout=10).close()


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("aws")
    ready = folder / "ready.json"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "fmload_deploy.emulated_aws", "--ready-file", str(ready)],
                                   stdout=log, stderr=log)
    end = time.monotonic() + 120
    while not ready.exists():
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < end, "the emulated AWS did not start"
        time.sleep(0.05)
    try:
        yield json.loads(ready.read_text())["url"]
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def aws(aws_server: str, monkeypatch: pytest.MonkeyPatch) -> EmulatedAws:
    for name, value in {"AWS_ENDPOINT_URL": aws_server, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                        "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    emulated = EmulatedAws(aws_server)
    emulated.slow(2)
    return emulated


MakeRunFile = Callable[..., RunFile]


@pytest.fixture
def make_run_file(tmp_path: Path) -> MakeRunFile:
    """A run file with the given endpoints, each `{"name", "deploy", …}`."""
    def make(*endpoints: dict[str, Any], **keys: Any) -> RunFile:
        data = {"name": "deploy-test", "region": "us-east-1", "endpoints": list(endpoints),
                "prompts": [{"name": "p", "source": "synthetic", "input_tokens": {"mean": 10}, "output_tokens": 10}],
                "load": {"concurrency": [1], "ramp": "0s", "warmup": "0s", "window": "1h"}, **keys}
        return parse(yaml.safe_dump(data), "run.yml", tmp_path)
    return make


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., Context]:
    """The context of a run in a results folder under the test's own."""
    def make(run_file: RunFile, name: str = "r") -> Context:
        return lifecycle.context_for(run_file, Results(tmp_path / name))
    return make


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig of an API server that runs for the test."""
    ready = tmp_path / "kube.ready"
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("fake_kube.py")), str(ready)])
    end = time.monotonic() + 60
    while not ready.exists():
        assert process.poll() is None and time.monotonic() < end, "the API server did not start"
        time.sleep(0.02)
    config = tmp_path / "kubeconfig"
    config.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": ready.read_text()}}], "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}]}))
    try:
        with no_connection_left_to_the_collector():
            yield config
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def no_connection_left_to_the_collector() -> Iterator[None]:
    """Every socket is closed by those who opened it. Python asks for signals while it tells of one that was not, and
    drops what their handlers raise: a Ctrl-C that comes then is lost."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert not [str(one.message) for one in told if "unclosed <socket" in str(one.message)]
