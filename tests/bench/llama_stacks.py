"""A search over settings of llama.cpp's server beside an exhaustive grid that is measured afterwards.

    python -m tests.bench.llama_stacks [--window 8s] [--out DIR]

A small model of random weights, some 60 tokens in and 24 out, four users at a time. Both tables are printed as
docs/stacks.md has them. Returns 1 where the search's winner is shown by the grid to be worse than the grid's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fmload.base.units import format_duration
from fmload.model.stack import StackSearch
from fmload.results import search_file
from fmload_analysis.stacks import words
from fmload_analysis.stacks.ranking import ranking, untried, without_figure

HERE = Path(__file__).parents[1] / "integration"
RUN = """\
name: llama-stacks
seed: 1
endpoints:
  - name: llama
    protocol: openai
    model: random
    deploy:
      target: local
      command: ["{python}", "{serve}", "{model}", --port, "{{port}}", --threads, "{{threads}}", --parallel, "{{slots}}",
                "{{engine}}"]
    price: {{hourly: 0.34}}
    vary:
      threads: [1, 2]
      slots: [1, 4]
      engine:
        - [--flash, "off"]
        - [--flash, "on"]
        - [--flash, "on", --kv, q8_0]
        - [--flash, "off", --batch, "64", --ubatch, "32"]
    exclude:
      - {{threads: 2, slots: 1}}
      - {{threads: 2, engine: [[--flash, "on"], [--flash, "on", --kv, q8_0],
                                [--flash, "off", --batch, "64", --ubatch, "32"]]}}
prompts: [{{name: p, source: synthetic, input_tokens: 16, output_tokens: 24, count: 200}}]
load: {{concurrency: [4], ramp: 0, warmup: 3s, window: {window}, drain: 10s, trial: false}}
telemetry: [{{name: m, collector: prometheus, endpoint: llama}}]
stacks: {{strategy: {strategy}, by: output_tokens_per_s{options}}}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run both searches, print both tables; 1 where they contradict each other."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.llama_stacks", description=__doc__)
    parser.add_argument("--window", default="8s")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    out = args.out or Path(tempfile.mkdtemp(prefix="llama-stacks-"))
    out.mkdir(parents=True, exist_ok=True)
    model = out / "random.gguf"
    subprocess.run([sys.executable, str(HERE / "random_llama.py"), str(model), "192", "4"], check=True)
    halving = searched(out / "halving", "halving", ", rounds: [0.5, 1]", model, args.window)
    grid = searched(out / "grid", "grid", "", model, args.window)
    return _judged(halving, grid)


def searched(folder: Path, strategy: str, options: str, model: Path, window: str) -> StackSearch:
    """One search to its end, its table printed."""
    folder.mkdir(exist_ok=True)
    run = folder / "run.yml"
    run.write_text(RUN.format(python=sys.executable, serve=HERE / "serve_llama.py", model=model, window=window,
                              strategy=strategy, options=options))
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "fmload", "run", str(run), "--out", str(folder / "out")], check=True,
                   stdout=subprocess.DEVNULL, stderr=(folder / "said.log").open("w"))
    search = search_file.read(folder / "out")
    print(table_of(search, time.monotonic() - began), flush=True)
    return search


def table_of(search: StackSearch, took_s: float) -> str:
    """The ranking as Markdown, with what it took."""
    lines = [f"`{search.strategy}`, {len(search.trials)} trials, "
             f"{format_duration(sum(trial.measured_s for trial in search.trials))} of windows in "
             f"{format_duration(took_s)}:", "",
             "| candidate | settings | output tokens/s (95 %) | against the best | window |", "|---|---|---|---|---|"]
    for one in ranking(search):
        said = "the best" if one.place == 1 else "tie" if one.tie else "worse"
        lines.append(f"| {one.candidate.name} | {one.candidate.text} | {words.interval(search, one.trial.figure)} | "
                     f"{said} | {one.trial.share:.0%} |")
    lines += [f"| {one.name} | {one.text} | {_short(trial.reason)} | {trial.status} | {trial.share:.0%} |"
              for status in ("failed", "missed") for one, trial in without_figure(search, status)]
    lines += [f"| {one.name} | {one.text} | | not tried | |" for one in untried(search)]
    return "\n".join(lines) + "\n"


def _short(reason: str) -> str:
    """The first two clauses of a reason."""
    return ": ".join(reason.split(": ")[:2])


def _judged(halving: StackSearch, grid: StackSearch) -> int:
    found, truth = ranking(halving), {one.candidate.name: one for one in ranking(grid)}
    if not found or found[0].candidate.name not in truth:
        print("nothing was measured")
        return 1
    place = truth[found[0].candidate.name]
    said = "the grid's best" if place.place == 1 else "a tie with the grid's best" if place.tie else "worse than it"
    print(f"the search's winner, {place.candidate.name}, is by the grid: {said}")
    return 0 if place.tie else 1


if __name__ == "__main__":
    raise SystemExit(main())
