"""Two workers, one master, a sweep: is every request that finished at the server a record? Again and again.

    python -m tests.distributed.repeat --times 20

Each run has its own emulator, concurrency, pace and seed, drawn by its number. Prints one line a run; exits with 1
at the first run that lost a record or made one up.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.load_rig import emulator, ids, run_file, sweep


def one_run(folder: Path, number: int) -> tuple[int, int]:
    """Requests that ended at the server, and records of them; raises AssertionError when they are not the same."""
    draw = random.Random(number)
    levels = [draw.randint(1, 24) for _ in range(2)]
    pace = ("--ttft", f"{draw.randint(1, 80)}ms", "--gap", f"{draw.randint(1, 30)}ms", "--jitter", "0.3")
    load = {"concurrency": levels, "ramp": "200ms", "warmup": "100ms", "window": "1500ms", "drain": "10s"}
    with emulator(folder, *pace, "--seed", str(number)) as server:
        with sweep(folder, run_file(folder, {"a": server.url}, load, seed=number)) as run:
            assert run.wait() == 0, run.output()
        served = {one.request_id for one in server.requests()}
    records = run.records()
    assert len(records) == len(ids(records)), f"{len(records) - len(ids(records))} records are there twice"
    assert ids(records) == served, f"lost {len(served - ids(records))}, made up {len(ids(records) - served)}"
    return len(served), len(records)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    total = 0
    for number in range(parser.parse_args().times):
        with tempfile.TemporaryDirectory(prefix="fmload-repeat-") as folder:
            try:
                served, records = one_run(Path(folder), number)
            except AssertionError as error:
                print(f"run {number}: {error}")
                return 1
        total += served
        print(f"run {number}: {served} requests ended at the server, {records} records", flush=True)
    print(f"all records of {total} requests are there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
