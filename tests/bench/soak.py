"""Does a long run stay as small and quick as it began? Eight hours at 200 requests a second, shortened.

    python -m tests.bench.soak --shorten 240

A master, two workers and an emulator on one machine, `--rate` requests a second for `--hours` divided by `--shorten`.
Every second: memory (RSS) of master and workers. Printed
is its growth by the second in the last third, and what that makes of the whole run; the bytes that
a request takes in the journals; and how long the report takes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.load_rig import Cluster, cluster, emulator, run_file, wait_until

MIB = 1 << 20


def sampled(all: Cluster, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Memory in MiB by process: (seconds, MiB), a sample a second while the run goes on."""
    processes = {"master": psutil.Process(all.master.process.pid),
                 **{f"worker {n}": psutil.Process(run.process.pid) for n, run in enumerate(all.workers)}}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in processes}
    begun = time.monotonic()
    while time.monotonic() - begun < seconds and all.master.process.poll() is None:
        for name, process in processes.items():
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found[name].append((time.monotonic() - begun, process.memory_info().rss / MIB))
        time.sleep(1.0)
    return found


def growth(samples: list[tuple[float, float]]) -> float:
    """MiB a second, by a line through the last third: a worker first fills up to its collector's threshold."""
    late = samples[2 * len(samples) // 3:]
    return statistics.linear_regression([at for at, _ in late], [mib for _, mib in late]).slope


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--shorten", type=float, default=240.0, help="by this factor (%(default)s)")
    parser.add_argument("--tokens", type=int, default=5, help="output tokens of a request (%(default)s)")
    given = parser.parse_args()
    seconds = given.hours * 3600 / given.shorten
    prompts = [{"name": "p", "source": "synthetic", "input_tokens": 20, "output_tokens": given.tokens, "count": 400}]
    load = {"rate": [given.rate], "warmup": "2s", "window": f"{seconds:.0f}s", "drain": "10s"}
    with tempfile.TemporaryDirectory(prefix="fmload-soak-") as folder, \
            emulator(Path(folder), "--ttft", "20ms", "--gap", "5ms") as server, \
            cluster(Path(folder), run_file(Path(folder), {"a": server.url}, load, prompts=prompts)) as all:
        wait_until(all.master.in_window, 60, "the window")
        samples = sampled(all, seconds)
        assert all.master.wait(120) == 0, all.master.output()
        results, requests = all.master.results, len(server.requests())
        journal = sum(path.stat().st_size for path in results.journal.glob("*.log"))
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "fmload", "report", str(results.root)], stdout=subprocess.DEVNULL,
                       check=False)
        print(f"{requests:,} requests in {seconds:.0f} s ({given.hours:g} h shortened {given.shorten:g} times), "
              f"{journal / requests:.0f} journal bytes a request in all copies, report in "
              f"{time.monotonic() - begun:.1f} s")
        print("| process | MiB at first | at last | MiB a second | makes in the whole run |\n|---|---|---|---|---|")
        for name, found in samples.items():
            slope = growth(found)
            print(f"| {name} | {found[0][1]:.0f} | {found[-1][1]:.0f} | {slope:+.4f} | "
                  f"{slope * given.hours * 3600:+.0f} MiB |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
