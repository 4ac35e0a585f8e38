"""`make bench`: every benchmark of the project, or those named: `python -m tests.bench wire aws`.

What follows the name of one from the first option on is that bench's own: `python -m tests.bench peers --repeat 1`.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module

# name: what it shows
BENCHES = {
    "wire": "error against the truth and CPU a token: ours with either reader beside requests and the openai SDK",
    "readers": "the native reader beside the one in Python: CPU, errors, a busy interpreter, TLS, 10,000 streams",
    "peers": "other tools and ours against servers that know the truth: errors of TTFT and ITL, CPU a token",
    "requests": "what a one-token request costs its worker: CPU a request, at as many a second as go",
    "capacity": "tokens a second on one core with no gap; memory of open streams; memory over many requests",
    "aws": "SageMaker and Bedrock streams: error, CPU beside boto3's own event stream, a held loop",
    "emulator": "what the emulator itself can serve",
    "pacing": "lateness of open-loop sends, beside Locust's own wait times",
    "telemetry": "what collectors cost: CPU; the error of the token stamps and the lateness of sends beside them",
    "shapes": "load shapes, traces and a stall: asked against achieved",
    "sessions": "1,000 sessions of an agent at a time on one worker: durations beside the closed form, what it took",
    "search": "stages of a search beside those of a grid, against a known capacity",
    "capacity_plan": "fleets of 2, 4 and 8 measured, beside what a run of one predicts of them",
    "stacks": "a search over 48 candidates beside the grid: found, and in what part of the time",
    "starting": "how soon a load begins: a small run, 1,024 and 10,000 users at once, a master of 50 workers",
    "scaling": "1, 2 and 4 workers, and what they cost the master",
    "analysis": "a million requests: time and peak memory",
}


def main(argv: list[str]) -> int:
    """Run the benches in order; returns 2 for a name that is none, or options of no single bench."""
    at = next((place for place, word in enumerate(argv) if word.startswith("-")), len(argv))
    names, options = argv[:at], argv[at:]
    if options and len(names) != 1:
        print(f"{options[0]}: options belong to one bench: python -m tests.bench NAME {' '.join(options)}",
              file=sys.stderr)
        return 2
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench named {unknown[0]}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    if options:
        return import_module(f"tests.bench.{names[0]}").main(options) or 0
    for name in names or BENCHES:
        print(f"\n== {name}: {BENCHES[name]}", flush=True)
        begun = time.monotonic()
        import_module(f"tests.bench.{name}").main([])
        print(f"   ({time.monotonic() - begun:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
