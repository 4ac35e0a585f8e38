"""Another tool, run against the emulator again and again: what it published, imported and audited, beside the truth.

    python -m tests.bench.real_tools TOOL --program PATH [--times N] [--tokenizer NAME] [--keep FOLDER] [--record NAME]

TOOL is one of `tests.bench.tool_commands.TOOLS`; PATH its program in an environment of its own (of llmeter the Python).
The truth is the emulator's log of every request. Every form that the tool writes is audited; the first is compared.
Ends with 1 where a file is accused or cannot be read. `--record` keeps what was published, without the requests, in
`tests/recorded_loads/NAME.jsonl`, and the truth of each load beside it; `docs/published-truth.md` holds the table
(`python -m tests.bench.real_tools table`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmload.base.errors import FmloadError
from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import AuditedRow, Row
from fmload_analysis.published.rows.sweep import read_published
from fmload_analysis.verdict.table import Check
from tests.bench.other_tools import FIGURES, truth_of
from tests.bench.tool_commands import TOOLS, Load, Place, Tool

RECORDED = Path(__file__).parents[1] / "recorded_loads"
LIMIT_S = 900.0
FINDINGS = ("requests succeed", "the offered rate was answered", "sent = offered rate")  # on the load, not the file
_LEFT_OUT = (  # single requests, what no importer reads, and what says where the tool ran
    "requests", "individual_request_metrics", "pdf", "telemetry_data", "run_info", "output_path", "artifacts",
    "environment", "timeslices", "outputs", "output", "tokenizer", "backend", "errored", "incomplete", "total",
    "scheduler_state", "data", "profile", "text", "image", "video", "audio", "tool_call")
_TIMES = ("ttft", "tpot", "e2e_latency", "num_output_tokens", "error_code")
_SERVER = ("--profile", "steady", "--model", "m", "--ttft", "60ms", "--gap", "8ms", "--jitter", "0.2")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One load: what was imported of it, what the audit objects to, and the truth."""

    load: Load
    rows: Sequence[Row]
    objections: Sequence[str]
    truth: dict[str, float]
    published: Sequence[dict[str, Any]]  # the objects of the form that is compared


def run_load(tool: Tool, load: Load, program: Path, tokenizer: str, folder: Path) -> None:
    """Runs the load against an emulator of its own; all that both write lies in the folder."""
    from tests.load_rig import emulator

    (folder / "out").mkdir(parents=True, exist_ok=True)
    with emulator(folder, *_SERVER, *load.server) as server:
        command = tool.command(load, Place(server.url, folder / "out", program, tokenizer))
        ended = subprocess.run(command, cwd=folder, env={**os.environ, **tool.environment}, capture_output=True,
                               text=True, timeout=LIMIT_S, check=False)
    (folder / "tool.log").write_text(ended.stdout + ended.stderr)


def results_of(tool: Tool, folder: Path) -> list[Path]:
    """What the tool wrote there, the form that is compared first."""
    return [path for pattern in tool.results for path in sorted((folder / "out").glob(pattern))]


def outcome(tool: Tool, load: Load, folder: Path) -> Outcome:
    """What came of a load. Raises FmloadError where the tool wrote nothing, or what cannot be read."""
    files = results_of(tool, folder)
    if not files:
        log = folder / "tool.log"
        raise FmloadError(f"{folder}: nothing was written", hint=log.read_text()[-600:] if log.exists() else "")
    audits = [(path, audit_published(read_published(path), load_prices())) for path in files]
    one = sum(len(rows) for path, rows in audits if path in set((folder / "out").glob(tool.results[0]))) == 1
    truth = truth_of(folder / "emulator.truth", load.warmup) if one else {}
    objections = [f"{path.name}: {line}" for path, audited in audits for row in audited
                  for line in objections_of(row, truth)]
    published = [json.loads(path.read_text()) for path in sorted((folder / "out").glob(tool.results[0]))
                 if path.suffix == ".json"]
    first = set((folder / "out").glob(tool.results[0]))
    rows = [row.row for path, audited in audits if path in first for row in audited]
    return Outcome(load, rows, objections, truth, published)


def objections_of(row: AuditedRow, truth: dict[str, float]) -> Iterator[str]:
    """What the audit says against the row's columns. No contradiction is that requests failed, nor that fewer were in
    flight than users, where the server saw no more either."""
    for check in row.checks:
        if check.result != "PASS" and check.name not in FINDINGS and not _underloaded(check, row, truth):
            yield f"{row.row.label}: {check.result} {check.name}: {check.sentence}"
    for correction in row.corrections:
        if correction.figure != "concurrency" or _in_flight(row, truth) >= 0.97 * correction.published:
            yield f"{row.row.label}: {correction.figure} corrected to {correction.corrected:.4g}: {correction.reason}"


def _underloaded(check: Check, row: AuditedRow, truth: dict[str, float]) -> bool:
    users = row.row.value("concurrency") or 0.0
    return check.name.startswith("concurrency =") and check.sentence.count("the load was not on") > 0 and (
        _in_flight(row, truth) < 0.97 * users)


def _in_flight(row: AuditedRow, truth: dict[str, float]) -> float:
    """Requests in flight by the server's log, or by the tool's own other figure."""
    return truth.get("in_flight") or row.row.value("achieved_concurrency") or np.inf


def differences(row: Row, truth: dict[str, float]) -> dict[str, float]:
    """By which share each figure is off the truth."""
    pairs = ((figure, row.value(figure), truth.get(figure)) for figure in FIGURES)
    return {figure: value / true - 1 for figure, value, true in pairs if value is not None and true}


def trimmed(value: Any) -> Any:
    """A published object without the arrays of single requests; of those of genai-bench only the times, where a mean
    leaves some out."""
    if isinstance(value, dict):
        requests = value.get("individual_request_metrics") or ()
        if any(one.get("tpot") is None for one in requests):
            kept = [{name: one.get(name) for name in _TIMES} for one in requests]
            return {**trimmed({**value, "individual_request_metrics": ()}), "individual_request_metrics": kept}
        return {key: trimmed(entry) for key, entry in value.items() if key not in _LEFT_OUT or isinstance(entry, int)}
    return [trimmed(entry) for entry in value] if isinstance(value, list) else value


def summary(found: Iterable[dict[str, float]]) -> list[tuple[str, int, float, float]]:
    """Of each figure: its name, loads, the median difference, and the one furthest from 0."""
    by_figure: dict[str, list[float]] = {}
    for one in found:
        for figure, value in one.items():
            by_figure.setdefault(figure, []).append(value)
    return [(label, len(values), float(np.median(values)), max(values, key=abs))
            for figure, label in FIGURES.items() if (values := by_figure.get(figure))]


def table() -> str:
    """The table of the recorded loads beside their truth."""
    lines = ["| tool | figure | loads | median difference | largest |", "|---|---|---:|---:|---:|"]
    for path in sorted(RECORDED.glob("*.truth.json")):
        name = path.name.removesuffix(".truth.json")
        rows = read_published(RECORDED / f"{name}.jsonl").rows
        found = [differences(row, truth) for row, truth in zip(rows, json.loads(path.read_text()), strict=True)]
        lines += [f"| {name} | {label} | {count} | {median:+.1%} | {worst:+.1%} |"
                  for label, count, median, worst in summary(found)]
    return "\n".join(lines)


def _tell(number: int, found: Outcome) -> None:
    off = differences(found.rows[0], found.truth) if len(found.rows) == 1 else {}
    told = ", ".join(f"{FIGURES[figure]} {value:+.1%}" for figure, value in off.items())
    several = len(found.rows) > 1
    print(f"{number:>3} {found.rows[0].label}{' …' if several else ''}: {told or 'several stages'}", flush=True)
    for line in found.objections:
        print(f"      {line}", flush=True)


def _record(name: str, outcomes: Sequence[Outcome]) -> None:
    """All objects, a line each, and for each stage the truth; none for those that were measured in one run."""
    lines = [json.dumps(trimmed(one), separators=(",", ":")) for found in outcomes for one in found.published]
    truths = [found.truth if len(found.rows) == 1 else {} for found in outcomes for _ in found.rows]
    (RECORDED / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (RECORDED / f"{name}.truth.json").write_text(json.dumps(truths, indent=1) + "\n")


def main() -> int:
    """Runs the loads; 1 where one is accused or cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=(*TOOLS, "table"))
    parser.add_argument("--program", type=Path, help="the tool's program; by default the one on the path")
    parser.add_argument("--times", type=int, metavar="N", help="how many of its loads (default: all)")
    parser.add_argument("--tokenizer", default="gpt2", metavar="NAME", help="as the tool takes it")
    parser.add_argument("--keep", type=Path, metavar="FOLDER",
                        help="keep all that was written; loads that lie there are read, not run")
    parser.add_argument("--record", metavar="NAME", help="keep results and truth in tests/recorded_loads")
    args = parser.parse_args()
    if args.tool == "table":
        print(table())
        return 0
    tool = TOOLS[args.tool]
    with tempfile.TemporaryDirectory() as scratch:
        outcomes, failed = _all(tool, args, args.keep or Path(scratch))
    for label, count, median, worst in summary(differences(one.rows[0], one.truth) for one in outcomes
                                                if len(one.rows) == 1):
        print(f"{label:<22} {count:>3} loads, median {median:+.1%}, largest {worst:+.1%}")
    accused = sum(bool(one.objections) for one in outcomes)
    print(f"{len(outcomes)} loads of {args.tool}: {accused} accused, {failed} not to be read")
    if args.record:
        _record(args.record, outcomes)
    return 1 if accused or failed else 0


def _all(tool: Tool, args: argparse.Namespace, place: Path) -> tuple[list[Outcome], int]:
    outcomes, failed = [], 0
    for number, load in enumerate(tool.loads[:args.times]):
        folder = place / f"{number:02d}"
        try:
            if not results_of(tool, folder):
                run_load(tool, load, args.program or Path(tool.program), args.tokenizer, folder)
            outcomes.append(outcome(tool, load, folder))
        except (FmloadError, subprocess.TimeoutExpired) as error:
            print(f"{number:>3} {error}", flush=True)
            failed += 1
        else:
            _tell(number, outcomes[-1])
    return outcomes, failed


if __name__ == "__main__":
    sys.exit(main())
