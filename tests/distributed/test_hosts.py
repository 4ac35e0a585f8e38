"""One master and three workers, each on a host of its own: what crosses a network, and what a pulled cable costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netns
import pyarrow.parquet as pq
import pytest

from fmload.emulator import truth
from tests.load_rig import wait_until

ROOT = Path(__file__).parents[2]
RELAY = Path(__file__).with_name("relay.py")
BIN = Path(sys.executable).parent
LIMIT_S = 120.0

pytestmark = [pytest.mark.netns, pytest.mark.alone]


@pytest.fixture
def hosts() -> Iterator[dict[str, netns.Host]]:
    reason = netns.why_not()
    if reason:
        pytest.skip(f"NO NETWORK NAMESPACES, distributed load over several hosts is not tested: {reason}")
    with netns.hosts("server", "master", "near", "far", "third") as made:
        yield made


class Cluster:
    """An emulator, a master and three workers on five hosts; the far one is 40 ms away from the master."""

    def __init__(self, hosts: dict[str, netns.Host], folder: Path, **load: Any) -> None:
        self.hosts, self.folder, self.out = hosts, folder, folder / "out"
        ready, self.truth = folder / "ready.json", folder / "truth.log"
        self._start("server", [sys.executable, "-m", "fmload.emulator", "--profile", "steady", "--ttft", "50ms",
                               "--gap", "10ms", "--host", hosts["server"].address, "--port", "8000",
                               "--ready-file", str(ready), "--truth", str(self.truth)])
        wait_until(ready.exists, LIMIT_S, "the emulator")
        run_file = folder / "run.yml"
        run_file.write_text(json.dumps({
            "name": "hosts",
            "endpoints": [{"name": "steady", "protocol": "openai", "model": "emulated",
                           "url": f"http://{hosts['server'].address}:8000/v1"}],
            "prompts": [{"name": "short", "source": "synthetic", "input_tokens": 20, "output_tokens": 20,
                         "count": 900}],
            "load": {"concurrency": [6], "ramp": "1s", "warmup": "1s", "window": "8s", "drain": "20s", **load}}))
        self.run = self._start("master", [str(BIN / "fmload"), "run", str(run_file), "--out", str(self.out),
                                          "--remote-workers", "3", "--bind", "0.0.0.0:5557"])
        self._start("far", [sys.executable, str(RELAY), "5557", hosts["master"].address, "5557", "20"])
        for name in ("near", "far", "third"):
            through = hosts["far" if name == "far" else "master"].address
            self._start(name, [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "openai.py"),
                               "--worker", "--master-host", through])

    def _start(self, host: str, command: list[str]) -> subprocess.Popen[Any]:
        log = (self.folder / f"{host}-{Path(command[0]).name}-{len(list(self.folder.iterdir()))}.log").open("w")
        folder = self.folder / f"home-{host}"
        folder.mkdir(exist_ok=True)
        return self.hosts[host].popen(command, stdout=log, stderr=log, cwd=folder,
                                      env={**os.environ, "PYTHONPATH": str(ROOT)})

    def stages(self) -> list[dict[str, Any]]:
        path = self.out / "stages.json"
        return json.loads(path.read_text())["stages"] if path.exists() else []  # type: ignore[no-any-return]

    def await_window(self) -> None:
        wait_until(lambda: any(stage["window_start_ns"] for stage in self.stages()), LIMIT_S, "the window")

    def end(self) -> int:
        return int(self.run.wait(timeout=LIMIT_S))

    def records(self) -> Any:
        return pq.read_table(self.out / "records")


def test_three_hosts_hold_the_concurrency_and_lose_no_record(hosts: dict[str, netns.Host], tmp_path: Path) -> None:
    cluster = Cluster(hosts, tmp_path)
    cluster.await_window()
    for _ in range(3):  # segments are lost for a moment, TCP sends them again
        hosts["third"].cut()
        time.sleep(0.3)
        hosts["third"].mend()
        time.sleep(0.7)
    assert cluster.end() == 0
    records = cluster.records()
    finished = {served.request_id for served in truth.read(cluster.truth)}
    ids = records["request_id"].to_pylist()
    assert len(ids) == len(set(ids))
    stage = [i for i, s in zip(ids, records["stage"].to_pylist(), strict=True) if s >= 0]
    assert set(stage) <= finished
    assert {worker["worker"] for worker in json.loads((cluster.out / "workers.json").read_text())["workers"]} == set(
        records["worker"].to_pylist())
    summary = (cluster.out / "summary.csv").read_text().splitlines()
    row = dict(zip(summary[0].split(","), summary[1].split(","), strict=False))
    assert float(row["achieved_concurrency"]) == pytest.approx(6, rel=0.1)


def test_a_clock_offset_is_known_to_half_of_the_round_trip(hosts: dict[str, netns.Host], tmp_path: Path) -> None:
    cluster = Cluster(hosts, tmp_path, window="3s")
    assert cluster.end() == 0
    for worker in json.loads((cluster.out / "workers.json").read_text())["workers"]:
        # The namespaces share one machine, so that the true offset is 0.
        assert abs(worker["clock_offset_ns"]) <= worker["clock_uncertainty_ns"]


def test_a_worker_cut_off_in_the_window_marks_its_stage_and_takes_no_finished_record_with_it(
        hosts: dict[str, netns.Host], tmp_path: Path) -> None:
    cluster = Cluster(hosts, tmp_path, window="12s")
    cluster.await_window()
    time.sleep(2)
    hosts["third"].cut()
    assert cluster.end() == 4  # the only stage had fewer users than asked: its audit fails
    marks = {mark["kind"] for stage in cluster.stages() for mark in stage["marks"]}
    assert "worker_lost" in marks
    lost = [worker for worker in json.loads((cluster.out / "workers.json").read_text())["workers"] if worker["lost_ns"]]
    assert len(lost) == 1
    kept = cluster.records()["worker"].to_pylist()
    assert kept.count(lost[0]["worker"]) > 0
    assert "worker_lost" in (cluster.out / "details.md").read_text().replace(" ", "_")
