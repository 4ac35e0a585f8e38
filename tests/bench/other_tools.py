"""Other tools against the emulator: what they published, imported, beside what the server's truth log holds.

    python -m tests.bench.other_tools truth TOOL=TRUTH_LOG … > tests/recorded/truth.json
    python -m tests.bench.other_tools table                  > the table of docs/published-truth.md

The recorded outputs in tests/recorded were made by the tools themselves at four users against
`fmload emulate --profile steady --ttft 100ms --gap 10ms --jitter 0.1 --truth LOG`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fmload.emulator.truth import read
from fmload_analysis.published.rows.sweep import read_published

RECORDED = Path(__file__).parents[1] / "recorded"
FILES = {"aiperf": "aiperf-0.13.json", "guidellm": "guidellm-0.8.json", "llmeter": "llmeter-0.2.json",
         "genai-bench": "genai-bench-0.0.5.json"}
FIGURES = {"completed": "requests", "output_tokens_mean": "output tokens", "ttft_mean": "TTFT mean, ms",
           "ttft_p50": "TTFT p50, ms", "tpot_mean": "TPOT mean, ms", "e2e_mean": "E2E mean, ms",
           "e2e_p50": "E2E p50, ms", "transactions_per_minute": "requests a minute"}


def truth_of(log: Path, warmup: int = 0) -> dict[str, float]:
    """The server's own figures of the answers that it gave, the first `warmup` requests left out: instants from the
    request's first byte. Empty where it gave none."""
    asked = sorted(read(log), key=lambda one: one.received_ns)[warmup:]
    answers = [one for one in asked if one.outcome == "ok" and one.token_ns]
    if not answers:
        return {}
    first = np.array([one.token_ns[0] - one.received_ns for one in answers]) / 1e9
    last = np.array([one.token_ns[-1] - one.received_ns for one in answers]) / 1e9
    made = np.array([one.output_tokens for one in answers])
    span = max(one.token_ns[-1] for one in answers) - min(one.received_ns for one in answers)
    several = made > 1
    per_token = {"tpot_mean": float(((last - first)[several] / (made - 1)[several]).mean())} if several.any() else {}
    return {"completed": len(answers), "output_tokens_mean": float(made.mean()), "ttft_mean": float(first.mean()),
            "ttft_p50": float(np.median(first)), **per_token,
            "e2e_mean": float(last.mean()), "e2e_p50": float(np.median(last)),
            "transactions_per_minute": len(answers) / span * 60e9, "in_flight": float(last.sum() * 1e9 / span)}


def table(truth: dict[str, Any]) -> str:
    """A row a figure and tool: imported, true, and the difference."""
    lines = ["| tool | figure | imported | in the server's log | difference |", "|---|---|---:|---:|---:|"]
    for tool, name in FILES.items():
        (row,) = read_published(RECORDED / name).rows
        for figure, label in FIGURES.items():
            value, true = row.value(figure), truth[tool][figure]
            scale = 1e3 if label.endswith("ms") else 1.0
            if value is not None:
                lines.append(f"| {tool} | {label} | {value * scale:.4g} | {true * scale:.4g} | "
                             f"{value / true - 1:+.1%} |")
    return "\n".join(lines)


def main() -> int:
    """Write what is asked for to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("truth", "table"))
    parser.add_argument("logs", nargs="*", metavar="TOOL=TRUTH_LOG")
    args = parser.parse_args()
    if args.what == "truth":
        pairs = (log.split("=", 1) for log in args.logs)
        print(json.dumps({tool: truth_of(Path(path)) for tool, path in pairs}, indent=1))
    else:
        print(table(json.loads((RECORDED / "truth.json").read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
