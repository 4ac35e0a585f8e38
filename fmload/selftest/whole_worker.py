"""What a load costs a worker of `fmload run`, which does more than a client process of the ladder.

It also takes its turn among the slots, journals each record, sends it to the master, counts it for the live view, and
fires Locust's events.
"""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fmload.base.errors import FmloadError
from fmload.base.resources import read_json_lines
from fmload.results import stage_file
from fmload.results.folder import Results
from fmload.selftest.ladder import Ladder, emulator
from fmload.wire.exchange import ReaderChoice

_LIMIT_S = 120.0  # beyond the window
_NOT_THERE = (FmloadError, OSError, ValueError, KeyError, TypeError, StopIteration, ZeroDivisionError)


def cpu_us_per_token(ladder: Ladder, users: int, seconds: float, reader: ReaderChoice) -> float:
    """µs of CPU a token of the one worker of a run with so many users, over a window of so many seconds. Raises
    FmloadError for a run that told nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder, results = Path(name), Results(Path(name) / "out")
        with emulator(folder, ladder) as url:
            path = folder / "run.yml"
            path.write_text(json.dumps(run_file(ladder, users, seconds, reader, url)))
            said = _run([sys.executable, "-P", "-m", "fmload", "run", str(path), "--out", str(results.root), "--yes"],
                        seconds + _LIMIT_S)
        try:
            return told(results)
        except _NOT_THERE as error:
            raise FmloadError(f"the run of a whole worker failed: {said.strip()[-500:]}") from error


def _run(command: Sequence[str], limit_s: float) -> str:
    """What a run said of its errors. One that takes too long is ended in order, as by Ctrl-C."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        return process.communicate(timeout=limit_s)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.communicate()[1]


def run_file(ladder: Ladder, users: int, seconds: float, reader: ReaderChoice, url: str) -> dict[str, object]:
    """The same load as a client process's, as a run file."""
    return {
        "name": "selftest", "reader": reader,
        "endpoints": [{"name": "emulator", "protocol": "openai", "url": f"{url}/v1", "model": "emulated"}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 64, "output_tokens": ladder.tokens,
                     "count": 1000}],
        "load": {"concurrency": [users], "workers": 1, "ramp": f"{ladder.cycle_s}s", "warmup": "1s",
                 "window": f"{seconds}s", "drain": "10s", "trial": False}}


def told(results: Results) -> float:
    """µs of the worker's CPU a token, by what a run of one stage left. Raises one of _NOT_THERE."""
    stage, = stage_file.read(results).stages
    busy = [float(line["cpu_fraction"]) for line in read_json_lines(results.health_jsonl)
            if stage.window_start_ns <= line["at_ns"] < stage.window_end_ns]
    with results.summary_csv.open() as file:
        tokens_per_s = float(next(csv.DictReader(file))["output_tokens_per_s"])
    return 1e6 * sum(busy) / len(busy) / tokens_per_s
