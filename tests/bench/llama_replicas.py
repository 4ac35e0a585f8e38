"""Replicas of llama.cpp's server, each with one thread on a core of its own where there are as many cores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).parents[1] / "integration"
SLOTS = 4


@contextmanager
def serving(folder: Path, name: str, count: int) -> Iterator[list[str]]:
    """Base URLs of so many servers of one small model of random weights; ended by their handles. What they ran and what
    they waited for a core is left in `NAME.cores.json`."""
    model = folder / "random.gguf"
    if not model.exists():
        subprocess.run([sys.executable, str(HERE / "random_llama.py"), str(model), "512", "6"], check=True)
    told: list[tuple[float, float]] = []
    with ExitStack() as stack:
        yield [stack.enter_context(_one(folder, model, number, told)) for number in range(count)]
    (folder / f"{name}.cores.json").write_text(json.dumps(told))


def waited(folder: Path, name: str) -> float:
    """Of the time in which replicas had work, the share in which they waited for a core that others had: what a quiet
    machine has close to none of. None of it is known to the model."""
    told = json.loads((folder / f"{name}.cores.json").read_text())
    return float(sum(late for _, late in told) / sum(sum(one) for one in told))


@contextmanager
def _one(folder: Path, model: Path, number: int, told: list[tuple[float, float]]) -> Iterator[str]:
    cores = sorted(os.sched_getaffinity(0))
    bound = ["taskset", "-c", str(cores[number % len(cores)])] if shutil.which("taskset") else []
    command = [*bound, sys.executable, str(HERE / "serve_llama.py"), str(model), "--threads", "1", "--parallel",
               str(SLOTS)]
    with (folder / f"llama-{number}.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, (folder / f"llama-{number}.log").read_text(errors="replace")[-2000:]
            before = _core_times_s(process.pid)
            yield url
            after = _core_times_s(process.pid)
            told.append((after[0] - before[0], after[1] - before[1]))
        finally:
            process.kill()
            process.wait()


def _core_times_s(pid: int) -> tuple[float, float]:
    """Seconds that the threads of a process have run, and have waited to run, by Linux's schedstat."""
    read = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(one[0]) for one in read) / 1e9, sum(int(one[1]) for one in read) / 1e9
