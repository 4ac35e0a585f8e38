"""A real Prometheus server for tests: Debian's package, on a free loopback port, ended by its handle."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.load_rig import free_port, wait_until


@contextmanager
def prometheus(folder: Path, targets: dict[str, str], every: str = "200ms") -> Iterator[str]:
    """The address of a server that scrapes `targets` (job → host:port). Skips the test where there is none."""
    if shutil.which("prometheus") is None:
        pytest.skip("needs Debian's package prometheus")
    jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": every, "scrape_timeout": every},
                                      "scrape_configs": jobs}))
    url = f"http://127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
                                    f"--web.listen-address={url.removeprefix('http://')}"], stdout=log, stderr=log)
        try:
            wait_until(lambda: _ready(url), 30, "Prometheus")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def asked(url: str, query: str) -> list[dict[str, Any]]:
    """The series of an instant query; raises AssertionError with the server's words when it refuses."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?query={quote(query)}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{query}: {error.read().decode()}") from error
    return found
