"""Starts the counting in a process of its own, where there is something to count and it was not counted yet."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from fmload.results.folder import Results


def to_count(results: Results) -> bool:
    """Whether texts were kept, or answers to lay beside the server's counts, that are newer than the last counting."""
    kept = [path for path in (results.texts_parquet, results.answers_parquet) if path.exists()]
    done = results.counting_json
    newest = max((path.stat().st_mtime_ns for path in kept), default=0)
    return bool(kept) and not (done.exists() and done.stat().st_mtime_ns >= newest)


def count_answers(results: Results, say: Callable[[str], None]) -> None:
    """Count, and `say` how far it is. A counting that fails leaves the chunks as they are, and says so."""
    if not to_count(results):
        return
    command = [sys.executable, "-m", "fmload_analysis.counting", str(results.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            last = line.strip()
            say(last)
    if process.returncode:
        say(f"the answers could not be counted ({last}); tokens are those of their chunks")


def silently(line: str) -> None:
    """What `say` may be where nobody listens."""


def compared(results: Results, endpoint: str, stage: int) -> dict[str, Any]:
    """Over kept answers of a stage: how many, and their tokens by the server and by the model's tokenizer; of those that
    could not be compared how many there are, by reason (`not_compared`)."""
    if not results.counting_json.exists():
        return {}
    told = json.loads(results.counting_json.read_text())["endpoints"].get(endpoint, {})
    found: dict[str, Any] = told.get("stages", {}).get(str(stage), {})
    return found
