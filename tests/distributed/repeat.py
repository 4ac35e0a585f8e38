"""Is every request that finished at the server a record, once, whatever befalls the run? Again and again.

    python -m tests.distributed.repeat --fault all --times 20

Each run has its own emulator, concurrency, pace, seed and instant of the fault, drawn by its number. `faults.py` says
what "finished" and "unread" mean; "longest" is the time from the fault to the end of the last process. Prints a line a
run as it ends and a table at the end; exits with 1 when anything was lost, made up or did not end.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.distributed.faults import FAULTS, Outcome, names, suffer
from tests.load_rig import ids


@dataclass
class Tally:
    """What many runs with one fault came to."""

    fault: str
    times: int = 0
    finished: int = 0
    recorded: int = 0
    missing: int = 0
    duplicates: int = 0
    unread: int = 0
    failed: int = 0
    exit_codes: dict[str, Counter[int]] = field(default_factory=dict)
    marks: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0

    def add(self, found: Outcome) -> None:
        """Count one run in."""
        self.finished += len(found.finished)
        self.recorded += len(found.finished & ids(found.records))
        self.missing += len(found.missing)
        self.duplicates += found.duplicates
        self.unread += len(found.unread)
        self.marks.update(found.marks or {"none"})
        self.longest_s = max(self.longest_s, found.wait_s)
        for process, code in found.exit_codes.items():
            self.exit_codes.setdefault(process.partition("-")[0], Counter())[code] += 1

    def row(self) -> str:
        """One row of the table."""
        codes = "; ".join(f"{who} " + ", ".join(f"{code} ×{n}" for code, n in sorted(seen.items()))
                          for who, seen in self.exit_codes.items())
        marks = ", ".join(f"{mark} ×{n}" for mark, n in sorted(self.marks.items()))
        return (f"| {self.fault} | {self.times} | {self.finished} | {self.recorded} | {self.missing} | "
                f"{self.duplicates} | {self.unread} | {codes} | {marks} | {self.longest_s:.1f} s |")


HEADER = """| fault | times | finished | in the records | missing | twice | unread | exit codes | marks | longest |
|---|---|---|---|---|---|---|---|---|---|"""


def repeat(fault: str, numbers: Sequence[int]) -> Tally:
    """One fault, once for each number. A run that fails is counted, and said."""
    tally = Tally(fault)
    for number in numbers:
        tally.times += 1
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fmload-repeat-") as folder:
            try:
                found = suffer(Path(folder), fault, number)
                tally.add(found)
                found.check()
            except AssertionError as error:
                tally.failed += 1
                print(f"{fault} {number}: FAILED: {error}", flush=True)
                continue
        print(f"{fault} {number}: {len(found.finished)} finished, {len(found.records)} records, "
              f"{time.monotonic() - begun:.0f} s", flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fault", choices=[*FAULTS, "all"], default="none")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first run (%(default)s)")
    given = parser.parse_args()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and would be by every process of a run
    tallies = [repeat(fault, range(given.first, given.first + given.times)) for fault in names(given.fault)]
    print(HEADER, *(tally.row() for tally in tallies), sep="\n")
    return 1 if any(tally.failed for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
