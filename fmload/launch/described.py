"""The run file that a few words describe: `fmload run URL`, `fmload init` and their flags. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import ceil
from urllib.parse import urlsplit

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.base.units import parse_duration_s, write_duration
from fmload.config import yaml_lines
from fmload.launch.usual import INPUT_TOKENS, OUTPUT_TOKENS, SWEEP, WINDOW_S
from fmload.plugins import SOURCES

QUICK_S = 1.0  # of an answer: a window of the sweep holds ten, and 16 in a row are drained in a quarter of a minute
PROBE_LIMIT_S = 6.0  # for the answer that is timed before the sweep
LEVEL_S = 12.0  # of a level of a slow server, at one answer at a time
FEWEST = 2  # requests of a level: of one alone the audit takes no figure
ANSWERS_A_WINDOW, LONGEST_WINDOW_S = 4, 60.0  # one after the other, of levels that somebody chose
WARMUP_SHARE, SHORTEST_WARMUP_S, LONGEST_WARMUP_S = 0.2, 1.0, 10.0  # of the window
COUNTED_BY_SERVER = 400  # prompts at most, where each is counted by asking the server some ten times

_KINDS = {".jsonl": "jsonl", ".json": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_TEMPLATE = """\
# A run of fmload. Check it with 'fmload validate FILE'; every key: 'fmload help run-file'.
name: {name}
seed: 7                       # the same seed gives the same prompts in the same order

endpoints:
  - name: {name}
    protocol: {protocol}
{address}
{counting}
    stream: true
    parameters: {{temperature: 0}}
{price}

prompts:
{prompts}

load:
{load}

# objectives:                 # limits that decide which load is good enough; any metric: 'fmload help metrics'
#   ttft_p95: 2s
#   error_rate: 1%
"""


@dataclass(frozen=True, slots=True)
class Described:
    """What is to be measured, and how. `server_counts`: lengths are the server's own. Lengths are in tokens."""

    protocol: str = "openai"
    url: str | None = None
    model: str | None = None
    endpoint_name: str | None = None
    region: str | None = None
    api_key_env: str | None = None
    ca_file: str | None = None
    tokenizer: str = "bundled"
    server_counts: bool = False
    instance_type: str | None = None
    concurrency: tuple[int, ...] | None = None
    rate: tuple[float, ...] | None = None
    requests: int | None = None
    window_s: float = WINDOW_S
    input_tokens: int = INPUT_TOKENS
    output_tokens: int = OUTPUT_TOKENS
    dataset: str | None = None

    def paced(self, answer_s: float | None) -> Described:
        """With a sweep that gives numbers within a minute, where one answer takes so long (infinite: longer than
        PROBE_LIMIT_S): a slow server is asked for a few requests at one or two levels, all of them counted."""
        if answer_s is None or answer_s <= QUICK_S:
            return self
        if answer_s > PROBE_LIMIT_S:
            return replace(self, concurrency=(1,), requests=FEWEST)
        requests = max(FEWEST, int(LEVEL_S / answer_s))
        return replace(self, concurrency=(1, min(SWEEP[1], requests)), requests=requests)

    def lasting(self, answer_s: float | None) -> Described:
        """With windows in which a user gets ANSWERS_A_WINDOW answers, where one takes so long (infinite: longer than
        PROBE_LIMIT_S), but of LONGEST_WINDOW_S at most: in ten seconds a slow server may give none."""
        window_s = min(ANSWERS_A_WINDOW * (answer_s or 0.0), LONGEST_WINDOW_S)
        return self if window_s <= self.window_s else replace(self, window_s=float(ceil(window_s)))

    @property
    def levels(self) -> str:
        """The sweep in words: `1, 4, 16 users`, `2, 4 requests/s`."""
        if self.rate is not None:
            return f"{', '.join(f'{rate:g}' for rate in self.rate)} requests/s"
        users = self.concurrency or SWEEP
        return f"{', '.join(map(str, users))} {'user' if users == (1,) else 'users'}"


def run_file(asked: Described) -> str:
    """The run file's text."""
    name = _name(asked.model or asked.endpoint_name or urlsplit(asked.url or "").hostname or "run")
    return _TEMPLATE.format(name=name, protocol=asked.protocol, address=_address(asked), counting=_counting(asked),
                            price=_price(asked.instance_type), prompts=_prompts(asked), load=_load(asked))


def levels_of(option: str, text: str) -> tuple[float, ...]:
    """Numbers above 0 with commas between. Raises FmloadError."""
    try:
        found = tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        found = ()
    if not found or any(not 0 < level < float("inf") for level in found):
        raise FmloadError(f"{option} {text}: not numbers above 0 with commas between",
                          hint=f"for example {option} 1,2,4")
    return found


def users_of(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers above 0 with commas between. Raises FmloadError."""
    found = levels_of(option, text)
    if any(level != int(level) for level in found):
        raise FmloadError(f"{option} {text}: users come in whole numbers", hint=f"{option} 1,2,4; or --rate {text}")
    return tuple(int(level) for level in found)


def seconds_of(option: str, text: str) -> float:
    """A duration; a bare number is seconds. Raises FmloadError."""
    try:
        seconds = float(text) if re.fullmatch(r"\d+(\.\d+)?", text.strip()) else parse_duration_s(text)
    except ValueError as error:
        raise FmloadError(f"{option} {text}: not a duration", hint=f"for example {option} 30s") from error
    if seconds <= 0:
        raise FmloadError(f"{option} {text}: must be above 0", hint=f"for example {option} 30s")
    return seconds


def _name(text: str) -> str:
    """The text as a name for files: what a name cannot hold becomes a dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.rstrip("/").rsplit("/", 1)[-1]).strip("-._") or "run"


def _address(asked: Described) -> str:
    keys = {"url": asked.url, "model": asked.model, "endpoint_name": asked.endpoint_name, "region": asked.region,
            "api_key_env": asked.api_key_env, "ca_file": asked.ca_file}
    return "\n".join(f"    {key}: {_scalar(value)}" for key, value in keys.items() if value)


def _counting(asked: Described) -> str:
    if asked.server_counts:
        return "    align: server             # lengths of prompts are the server's own, by its /tokenize"
    return f"    tokenizer: {_scalar(asked.tokenizer)}        # or the model's own: a Hugging Face name, or a folder"


def _price(instance_type: str | None) -> str:
    if instance_type:
        return f"    price: {{instance_type: {_scalar(instance_type)}, count: 1}}"
    return "    # price: {instance_type: g5.2xlarge}   # or {hourly: 1.21}, or {input_per_1m: 3, output_per_1m: 15}"


def _prompts(asked: Described) -> str:
    if asked.dataset is not None:
        return _dataset(asked.dataset, asked.output_tokens)
    lines = [f"  - name: synthetic_{asked.input_tokens}",
             "    source: synthetic         # or jsonl, sharegpt, longbench, …: 'fmload help prompts'",
             f"    input_tokens: {asked.input_tokens}", f"    output_tokens: {asked.output_tokens}"]
    if asked.requests is None and asked.server_counts:
        lines.append(f"    count: {COUNTED_BY_SERVER}")
    lines.append("    nonce: true               # every prompt begins as none of an earlier run did: no cache has it")
    return "\n".join(lines)


def _dataset(given: str, output_tokens: int) -> str:
    source, files = dataset(given)
    name = _name(files.partition("!")[0].removesuffix(".gz") if files else source).split(".")[0] or source
    lines = [f"  - name: {name}", f"    source: {source}", *([f"    files: [{_scalar(files)}]"] if files else []),
             f"    output_tokens: {output_tokens}      # where the data set does not say"]
    return "\n".join(lines)


def dataset(given: str) -> tuple[str, str]:
    """(source, files) of `--dataset`: a file by its suffix, `sharegpt=FILE`, or a source that brings its own.

    Raises FmloadError for what is neither.
    """
    name, _, files = given.partition("=")
    if name in SOURCES:
        if not files and _needs_files(name):
            raise FmloadError(f"--dataset {name}: which files?", hint=f"--dataset {name}=FILE")
        return name, files
    suffix = re.search(r"\.(jsonl|json|csv|parquet)(\.gz)?$", given)
    if suffix:
        return _KINDS[f".{suffix[1]}"], given
    known = [one for one in SOURCES if hasattr(getattr(SOURCES.load(one), "Options", None), "model_fields")
             and "files" in SOURCES.load(one).Options.model_fields]
    raise FmloadError(f"--dataset {given}: neither a .jsonl, .json, .csv or .parquet file nor a data set"
                      f"{did_you_mean(name, known)}", hint=f"data sets: {', '.join(known)}; NAME=FILE names its file")


def _needs_files(source: str) -> bool:
    options = getattr(SOURCES.load(source), "Options", None)
    field = getattr(options, "model_fields", {}).get("files")
    return field is not None and field.is_required()


def _load(asked: Described) -> str:
    warmup_s = min(max(asked.window_s * WARMUP_SHARE, SHORTEST_WARMUP_S), LONGEST_WARMUP_S)
    if asked.rate is not None:
        level = [f"  rate: [{', '.join(f'{rate:g}' for rate in asked.rate)}]               # arrivals a second",
                 "  arrivals: poisson"]
    else:
        level = [f"  concurrency: {list(asked.concurrency or SWEEP)}    # users at the same time"]
    if asked.requests is not None:
        length = [f"  requests: {{exactly: {asked.requests}}}   # of each stage: all of them are counted", "  ramp: 0s"]
    else:
        length = [f"  ramp: {write_duration(warmup_s / 2)}", f"  warmup: {write_duration(warmup_s)}",
                  f"  window: {write_duration(asked.window_s)}                # what is measured of each stage"]
    return "\n".join([*level, *length, "  drain: 120s", "  workers: 1                  # one a core of this host"])


def _scalar(value: str) -> str:
    """The text as YAML has it, in quotes where it needs them."""
    return yaml_lines.write(value).removesuffix("\n").removesuffix("\n...")
