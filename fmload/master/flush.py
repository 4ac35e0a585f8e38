"""The end of a run: every record is brought to the master, and the journals become Parquet."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

from fmload.master.collector import Collector
from fmload.master.waits import Waits
from fmload.master.worker_registry import WorkerRegistry
from fmload.protocol.messages import Flush

logger = logging.getLogger(__name__)

FLUSH_LIMIT_S = 60.0
FULL_LIMIT_S = 2.0  # when the master can write nothing more
ASK_AGAIN_S = 2.0
COMPACTION_LIMIT_S = 1800.0


def flush(registry: WorkerRegistry, collector: Collector, waits: Waits) -> None:
    """Every living worker says how many records it made, and they are all here; an event says whose are not."""
    asked = -ASK_AGAIN_S

    def complete() -> bool:
        nonlocal asked
        missing = collector.missing(registry.living())
        if missing and time.monotonic() - asked > ASK_AGAIN_S:
            asked = time.monotonic()
            for worker in missing:
                registry.send(Flush(), worker)
        return not missing

    if not waits.until(complete, FULL_LIMIT_S if collector.trouble else FLUSH_LIMIT_S, interruptible=False):
        for worker in collector.missing(registry.living()):
            collector.event("records_missing", worker, collector.short_of(worker))


def compact(root: Path) -> None:
    """Journals to Parquet, in a process of its own: neither its memory nor its time are the master's."""
    try:
        done = subprocess.run([sys.executable, "-P", "-m", "fmload.results.journal", str(root)],
                              capture_output=True, text=True, timeout=COMPACTION_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.error("the journals were not compacted (%s); 'fmload report' will do it", error)
        return
    log = logger.info if done.returncode == 0 else logger.error
    log("journals compacted: %s", (done.stdout or done.stderr).strip())
