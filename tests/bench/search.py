"""A search beside a grid of the same precision, against an emulated server whose capacity its closed form tells.

    python -m tests.bench.search [--truth 30]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fmload.emulator.capacity import capacity
from fmload.emulator.profiles import PROFILES
from tests.load_rig import Run, emulator, run_file, sweep

PROFILE, TOKENS_IN, TOKENS_OUT, WITHIN = "llama3-8b-g5.2xlarge", 20, 10, 0.05
FRAME = 7  # tokens that the chat's frame adds to a prompt
LOAD: dict[str, Any] = {"ramp": 0, "warmup": "4s", "window": "10s", "drain": "15s", "workers": 2}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the search over users, then that over arrival rates, and print both against the truth."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.search", description=__doc__)
    parser.add_argument("--truth", type=int, default=30, help="users at which the objective is just met")
    users = parser.parse_args(argv).truth
    model = PROFILES[PROFILE].model
    assert model is not None
    steady = capacity(model, TOKENS_IN + FRAME, TOKENS_OUT, users)
    limit_s = users / steady.requests_per_s + model.decode_s(users, 0)  # a newcomer waits for a step
    objective = {"e2e_mean": f"{limit_s:.3f}s"}
    table = Table("search over", "truth", "found", "error", "stages", "of a grid", "minutes", box=None)
    searched = (("concurrency", float(users), 8.0, 64.0), ("rate", steady.requests_per_s, 4.0, 64.0))
    for over, truth, low, high in searched:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            stages = _search(Path(folder), over, low, high, objective)
        found = max(stage["load"]["value"] for stage in stages if stage["verdict"]["result"] == "meets")
        table.add_row(over, f"{truth:.3g}", f"{found:.4g}", f"{found / truth - 1:+.1%}", str(len(stages)),
                      str(grid(over, low, high)), f"{(time.monotonic() - begun) / 60:.1f}")
    Console().print(table)
    return 0


def grid(over: str, low: float, high: float) -> int:
    """Levels of a grid that is nowhere wider than the search's bracket is at its end."""
    count, level = 1, low
    while level < high:
        level = max(level + 1, level * (1 + WITHIN)) if over == "concurrency" else level * (1 + WITHIN)
        count += 1
    return count


def _search(folder: Path, over: str, low: float, high: float, objective: dict[str, str]) -> list[dict[str, Any]]:
    find = {"objective": objective, "over": over, "from": low, "to": high, "within": WITHIN}
    prompts = [{"name": "p", "source": "synthetic", "input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT}]
    with emulator(folder, "--profile", PROFILE, "--jitter", "0") as server, \
            sweep(folder, run_file(folder, {"a": server.url}, {"find": find, **LOAD}, prompts=prompts)) as run:
        return _ended(run)


def _ended(run: Run) -> list[dict[str, Any]]:
    if run.process.wait(1200):
        raise SystemExit(run.output())
    return run.stages()


if __name__ == "__main__":
    raise SystemExit(main())
