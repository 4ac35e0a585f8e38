"""How each other tool is started on one load: its command, and the files that it leaves.

`TOOLS` holds a command and the loads of each tool; the programs are those of the tools' own environments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

LLMETER = Path(__file__).with_name("llmeter_load.py")


@dataclass(frozen=True, slots=True)
class Load:
    """One load: closed (`users`) or open (`rate`, requests/s), so many requests, lengths in tokens.

    `spread` is the standard deviation of the answers' lengths; `server` are options of `fmload emulate`, `options`
    those of the tool alone; `warmup` requests come before those that count.
    """

    users: int | None = None
    rate: float | None = None
    requests: int = 24
    given: int = 60
    made: int = 30
    spread: int = 0
    streams: bool = True
    server: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    warmup: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a load runs: the server, the folder for what the tool writes, the tool's program, a tokenizer's folder."""

    url: str
    folder: Path
    program: Path
    tokenizer: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: the program's name, its command for a load, where its result then lies, and its loads."""

    program: str
    command: Callable[[Load, Place], Sequence[str]]
    results: Sequence[str]  # patterns below the folder; the first is compared with the truth, all are audited
    loads: Sequence[Load]
    environment: Mapping[str, str]


_REFUSED = ("--fault", "503:share=0.15")
_BROKEN = ("--fault", "cut:after=5,share=0.2")
_SLOW = ("--ttft", "400ms", "--gap", "25ms", "--jitter", "0.3")
_PACKED = ("--shape", "tokens_per_chunk=4")
CLOSED = (
    Load(1, requests=10), Load(2, spread=8), Load(3, made=50), Load(4, requests=40, spread=12), Load(6, given=200),
    Load(8, requests=48), Load(12, requests=36, made=12), Load(16, requests=64, spread=8), Load(5, requests=7),
    Load(4, requests=4), Load(2, requests=12, server=_SLOW), Load(6, requests=30, server=_PACKED),
    Load(4, requests=40, server=_REFUSED), Load(4, requests=30, server=_BROKEN), Load(3, made=1),
    Load(4, streams=False), Load(9, requests=30, made=80, spread=25), Load(1, requests=3, made=100))
SINGLE = tuple(CLOSED[at] for at in (1, 3, 7, 10, 12, 13, 15))
OPEN = tuple(Load(rate=rate, requests=count, spread=spread) for rate, count, spread in (
    (2.0, 12, 0), (5.0, 30, 10), (10.0, 40, 6), (15.0, 60, 0), (25.0, 60, 12)))
TWICE = tuple(replace(load, users=users) for load, users in zip(CLOSED[:4], (7, 10, 14, 20), strict=True))


def aiperf(load: Load, place: Place) -> Sequence[str]:
    """`aiperf profile`."""
    level = [*(("--concurrency", str(load.users)) if load.users else ()),
             *(("--request-rate", str(load.rate)) if load.rate else ())]
    counted = () if "--benchmark-duration" in load.options else ("--request-count", str(load.requests))
    return [str(place.program), "profile", "-m", "m", "--url", place.url, "--endpoint-type", "chat",
            *(("--streaming",) if load.streams else ()), "--tokenizer", place.tokenizer, "--isl", str(load.given),
            "--isl-stddev", "10", "--osl", str(load.made), "--osl-stddev", str(load.spread), "--extra-inputs",
            "ignore_eos:true", "--use-server-token-count", *counted, *level,
            *(("--warmup-request-count", str(load.warmup)) if load.warmup else ()), *load.options,
            "--workers-max", "1", "--record-processors", "1", "--ui", "none", "--random-seed", "1",
            "--artifact-dir", str(place.folder)]


def guidellm(load: Load, place: Place) -> Sequence[str]:
    """`guidellm run`."""
    if load.rate:
        profile = f"kind={'poisson' if load.spread else 'constant'},rate={load.rate:g}"
    else:
        profile = f"kind=concurrent,streams={load.users}" if (load.users or 0) > 1 else "kind=synchronous"
    chosen = load.options or ("--profile", profile, "--constraint", f"kind=max_requests,count={load.requests}")
    backend = f"kind=openai_http,target={place.url},model=m" + ("" if load.streams else ",stream=false")
    return [str(place.program), "run", "--backend", backend, *chosen, "--tokenizer",
            f"kind=hf_auto,model={place.tokenizer}", "--data",
            f"kind=synthetic_text,prompt_tokens={load.given},output_tokens={load.made}"
            + (f",output_tokens_stdev={load.spread}" if load.spread else ""), "--disable-console",
            *(part for kind in ("json", "csv", "yaml")
              for part in ("--output", f"kind={kind},path={place.folder}/report.{kind}"))]


def llmeter(load: Load, place: Place) -> Sequence[str]:
    """llmeter has no command: a program of a few lines, run by its Python."""
    words = {"url": f"{place.url}/v1", "folder": str(place.folder), "clients": load.users, "tokens": load.made,
             "requests": max(load.requests // (load.users or 1), 1), "streams": load.streams, "words": load.given,
             "spread": load.spread, "seconds": float(load.options[0]) if load.options else None}
    return [str(place.program), str(LLMETER), json.dumps(words)]


def genai_bench(load: Load, place: Place) -> Sequence[str]:
    """`genai-bench benchmark`."""
    scenario = f"N({load.given},10)/({load.made},{load.spread})" if load.spread else f"D({load.given},{load.made})"
    return [str(place.program), "benchmark", "--api-backend", "openai", "--api-base", place.url, "--api-key", "none",
            "--api-model-name", "m", "--task", "text-to-text", "--model", "m", "--model-tokenizer", place.tokenizer,
            "--traffic-scenario", scenario, "--num-concurrency", str(load.users), "--max-time-per-run", "1",
            "--max-requests-per-run", str(load.requests), "--additional-request-params", '{"ignore_eos": true}',
            "--experiment-base-dir", str(place.folder), "--experiment-folder-name", "results", "--log-dir",
            str(place.folder), *load.options]


def inference_perf(load: Load, place: Place) -> Sequence[str]:
    """`inference-perf`, whose options are a file."""
    seconds = max(round(load.requests / (load.rate or 1.0)), 2)
    told: dict[str, Any] = {
        "load": {"type": "poisson" if load.spread else "constant", "num_workers": 1, "interval": 1,
                 "stages": [{"rate": load.rate, "duration": seconds}]},
        "api": {"type": "completion", "streaming": load.streams},
        "server": {"type": "vllm", "model_name": "m", "base_url": place.url, "ignore_eos": True},
        "tokenizer": {"pretrained_model_name_or_path": place.tokenizer},
        "data": {"type": "random", **{name: {"min": 5, "max": 300, "mean": mean, "std_dev": load.spread or 1,
                                             "total_count": 2 * load.requests}
                                      for name, mean in (("input_distribution", load.given),
                                                         ("output_distribution", load.made))}},
        "report": {"request_lifecycle": {"summary": True, "per_stage": True, "per_request": True}},
        "storage": {"local_storage": {"path": str(place.folder)}}}
    settings = place.folder / "settings.yml"
    settings.write_text(json.dumps(told))
    return [str(place.program), "--config_file", str(settings)]


_OFFLINE = {"HF_HUB_OFFLINE": "1"}
TOOLS: Mapping[str, Tool] = {
    "aiperf": Tool("aiperf", aiperf, (
        "profile_export_aiperf.json", "profile_export_aiperf.csv", "profile_export.jsonl"), (
        *CLOSED, *OPEN, Load(4, requests=32, warmup=6), Load(4, rate=8.0),
        Load(3, options=("--benchmark-duration", "4")), Load(rate=8.0, options=("--arrival-pattern", "constant")),
        Load(4, options=("--goodput", "time_to_first_token:80")),
        Load(6, options=("--concurrency-ramp-duration", "2"), requests=40)), _OFFLINE),
    "guidellm": Tool("guidellm", guidellm, ("report.json", "report.csv", "report.yaml"), (
        *(Load(spread=6, options=("--profile", profile, "--override", name, levels, "--constraint", constraint))
          for profile, name, levels, constraint in (
              ("kind=concurrent,streams=1", "profile.streams", "1,2,3,5,6,9,12,16", "kind=max_requests,count=24"),
              ("kind=poisson,rate=1", "profile.rate", "3,5,8,12,20", "kind=max_duration,seconds=4"))),
        *SINGLE, *OPEN, Load(options=("--profile", "kind=throughput,max_concurrency=8", "--constraint",
                                      "kind=max_duration,seconds=4"))),
        {**_OFFLINE, "GUIDELLM__MAX_WORKER_PROCESSES": "1"}),
    "llmeter": Tool("python", llmeter, ("*/stats.json", "*/responses.jsonl"), (
        *CLOSED, *TWICE, Load(4, options=("4",)), Load(8, options=("3",), server=_REFUSED)), {}),
    "genai-bench": Tool("genai-bench", genai_bench, ("results/*_time_*.json",), (
        *(Load(1, requests=24, spread=spread, options=tuple(
            part for users in levels for part in ("--num-concurrency", str(users))))
          for spread, levels in ((0, (2, 3, 5, 8, 12)), (8, (4, 6, 9, 16)))),
        *(load for load in SINGLE if load.streams), *TWICE, Load(10, requests=50, spread=10),
        Load(5, requests=30, given=150), Load(3, requests=15, made=60), Load(6, requests=36, server=_SLOW),
        Load(4, options=("--metrics-time-unit", "ms")), Load(8, requests=40, options=("--spawn-rate", "2"))), _OFFLINE),
    "inference-perf": Tool("inference-perf", inference_perf, (
        "stage_*_lifecycle_metrics.json", "summary_lifecycle_metrics.json", "per_request_lifecycle_metrics.json"), (
        *OPEN, *(replace(load, server=server) for load in OPEN for server in (_SLOW, _PACKED, _REFUSED))), _OFFLINE)}
