"""`fmload fleet run` with twenty workers, each in a network namespace of its own, and the user in another one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import netns
import psutil
import pyarrow.parquet as pq
import pytest

from fmload.emulator import truth
from fmload.model.request_id import is_trial
from fmload.protocol import admission
from fmload_deploy.local.processes import MARK
from tests.load_rig import wait_until

ROOT = Path(__file__).parents[2]
WORKERS = 20
LIMIT_S = 300.0
KEY = "sk-fleet-of-twenty-key"

pytestmark = [pytest.mark.netns, pytest.mark.alone, pytest.mark.timeout(600)]


@pytest.fixture
def hosts() -> Iterator[dict[str, netns.Host]]:
    reason = netns.why_not()
    if reason:
        pytest.skip(f"NO NETWORK NAMESPACES, a fleet over several hosts is not tested: {reason}")
    with netns.hosts("server", "user", *(f"w{number}" for number in range(1, WORKERS + 1))) as made:
        yield made


class Rehearsal:
    """An emulator, and `fmload fleet run` of twenty workers against it."""

    def __init__(self, hosts: dict[str, netns.Host], folder: Path) -> None:
        self.hosts, self.folder, self.truth = hosts, folder, folder / "truth.log"
        ready = folder / "ready.json"
        hosts["server"].popen([sys.executable, "-m", "fmload.emulator", "--profile", "steady", "--ttft", "50ms",
                               "--gap", "10ms", "--host", hosts["server"].address, "--port", "8000",
                               "--ready-file", str(ready), "--truth", str(self.truth)],
                              stdout=(folder / "server.log").open("wb"), stderr=subprocess.STDOUT)
        wait_until(ready.exists, LIMIT_S, "the emulator")
        (folder / "run.yml").write_text(json.dumps({
            "name": "twenty",
            "endpoints": [{"name": "a", "protocol": "openai", "model": "m", "api_key_env": "TWENTY_KEY",
                           "url": f"http://{hosts['server'].address}:8000/v1"}],
            "prompts": [{"name": "short", "source": "synthetic", "input_tokens": 20, "output_tokens": 20,
                         "count": 400}],
            "load": {"concurrency": [WORKERS], "ramp": "1s", "warmup": "0s", "window": "12s", "drain": "20s"}}))
        tag = hosts["w1"].namespace.removesuffix("w1")
        # the master is where the user is: namespace number 0 has no name of its own
        enter = f"sh -c 'test \"$0\" = 0 && exec \"$@\"; exec ip netns exec {tag}w$0 \"$@\"' {{index}}"
        self.command = hosts["user"].popen(
            [sys.executable, "-m", "fmload", "fleet", "run", "run.yml", "--target", "local", "--workers", str(WORKERS),
             "--enter", enter, "--address", hosts["user"].address, "--port", "5557", "--out", "back"],
            cwd=folder, stdout=(folder / "out.txt").open("wb"), stderr=(folder / "err.txt").open("wb"),
            env={**os.environ, "PYTHONPATH": str(ROOT), "TWENTY_KEY": KEY})

    def status(self) -> dict[str, Any]:
        path = self.folder / "results/fleets/twenty/mailbox/status.json"
        return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]

    def stages(self) -> list[dict[str, Any]]:
        path = self.folder / "results/fleets/twenty/hosts/00/results/stages.json"
        return json.loads(path.read_text())["stages"] if path.exists() else []  # type: ignore[no-any-return]

    def processes(self) -> list[psutil.Process]:
        """Those of the fleet's hosts and all that they started."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK, "").startswith("fleet-twenty"):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def workers(self) -> list[psutil.Process]:
        return [process for process in self.processes() if "--worker" in process.cmdline()]


def command_lines() -> Iterator[str]:
    """Of every process; of one that has ended meanwhile there is none."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield " ".join(process.cmdline())


def test_twenty_workers_in_namespaces_lose_one_and_no_request_and_their_results_come_back(
        hosts: dict[str, netns.Host], tmp_path: Path) -> None:
    fleet = Rehearsal(hosts, tmp_path)
    try:
        wait_until(lambda: any(stage["window_start_ns"] for stage in fleet.stages()), LIMIT_S, "the window")
        assert fleet.status()["connected"] == WORKERS
        workers = fleet.workers()
        assert len(workers) == WORKERS
        assert len({Path(f"/proc/{one.pid}/ns/net").readlink() for one in workers}) == WORKERS
        told = list(command_lines())
        token = workers[0].environ()[admission.TOKEN_VARIABLE]
        assert not [line for line in told if KEY in line or token in line]
        workers[7].send_signal(signal.SIGKILL)
        assert fleet.command.wait(LIMIT_S) in (0, 4), (tmp_path / "err.txt").read_text()  # 4: its stage is not whole
    finally:
        for process in fleet.processes():
            process.kill()
    records = pq.read_table(tmp_path / "back" / "records")["request_id"].to_pylist()
    finished = {one.request_id for one in truth.read(fleet.truth)
                if one.outcome == "ok" and not is_trial(one.request_id)}
    assert len(records) == len(set(records))
    # what the killed worker's socket took and nobody read: at most one a user
    assert len(finished - set(records)) <= 1
    assert len(set(records) - finished) <= 1
    workers_json = json.loads((tmp_path / "back" / "workers.json").read_text())["workers"]
    assert len(workers_json) == WORKERS and sum(one["lost_ns"] is not None for one in workers_json) == 1
    assert "worker_lost" in (tmp_path / "back" / "events.jsonl").read_text()
    told_cost = json.loads((tmp_path / "back" / "fleet.json").read_text())
    assert told_cost["usd"] == 0 and told_cost["workers"] == WORKERS
    assert fleet.processes() == []
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [one for one in texts if KEY.encode() in one or token.encode() in one]
