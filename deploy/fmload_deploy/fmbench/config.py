"""An FMBench run file as one of ours, with a list of what has no counterpart.

FMBench's own keys: one experiment is a model on an instance type, with its payload files and concurrency levels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fmload.base.errors import FmloadError
from fmload_deploy.fmbench.key_reader import KeyReader
from fmload_deploy.fmbench.targets import endpoint_of

_LONGBENCH = ("2wikimqa", "hotpotqa", "narrativeqa", "triviaqa")
_OURS = {  # keys that are settled here in another way, and how
    "run_steps": "fmload run does all of them", "dir_paths": "the results folder has fixed names",
    "pricing": "prices come from configs/prices.yml, or from a table named by prices:",
    "s3_read_data": "files are read where the run file says",
    "aws": "credentials are those of the AWS chain; results stay here",
    "metrics.dataset_of_interest": "every prompt set is priced and shown",
    "datasets.max_iters_per_combination": "windows close by time or by requests",
    "datasets.min_iters_per_combination": "windows close by time or by requests",
    "report": "docs/audit.md and docs/cost.md say what the report shows",
}


@dataclass(frozen=True, slots=True)
class Converted:
    """Our run file, and FMBench's keys that it does not carry: `(path, value, why)`."""

    run_file: dict[str, Any]
    lost: tuple[tuple[str, Any, str], ...]

    def text(self) -> str:
        """The run file as YAML, with what was lost as comments before it."""
        notes = "".join(f"#   {path}: {_short(value)}{f' ({why})' if why else ''}\n" for path, value, why in self.lost)
        head = "# Converted from an FMBench run file." + (f" Without counterpart:\n{notes}" if notes else "\n")
        return head + yaml.safe_dump(self.run_file, sort_keys=False, allow_unicode=True, width=110)


def read_fmbench_config(path: Path) -> Converted:
    """Convert a run file of FMBench's, or the one inside a report of its. Raises FmloadError when it is neither."""
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(_embedded(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FmloadError(f"{path}: {error}", hint="FMBench's {placeholders} must be filled in first") from error
    if not isinstance(data, Mapping) or "experiments" not in data:
        raise FmloadError(f"{path} is no FMBench run file: it has no experiments")
    return convert(data)


def convert(data: Mapping[str, Any]) -> Converted:
    """Convert the parsed YAML."""
    keys = KeyReader(data)
    name = str(keys.get("general", "name") or "fmbench")
    experiments = range(len(data["experiments"]))
    run_file = {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "fmbench",
        "region": keys.get("aws", "region") or "us-east-1",
        "endpoints": [endpoint_of(keys, index) for index in experiments],
        "prompts": list(_prompts(keys, experiments)),
        "load": {"concurrency": sorted({level for index in experiments
                                        for level in keys.get("experiments", index, "concurrency_levels") or [1]})},
        "objectives": _objectives(keys)}
    return Converted(_unique(run_file), tuple((path, value, _reason(path)) for path, value in keys.unread()))


def _prompts(keys: KeyReader, experiments: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The filters whose payload file an experiment asks for."""
    used = {file for index in experiments for file in keys.get("experiments", index, "payload_files") or []}
    tokens = max((_answer_tokens(keys, index) for index in experiments), default=100)
    source = _source(keys)
    for position in range(len(keys.get("datasets", "filters") or [])):
        file = keys.get("datasets", "filters", position, "payload_file")
        kept = {"language": keys.get("datasets", "filters", position, "language"),
                "tokens": [keys.get("datasets", "filters", position, "min_length_in_tokens"),
                           keys.get("datasets", "filters", position, "max_length_in_tokens")]}
        if file in used:
            yield {"name": file.removeprefix("payload_").removesuffix(".jsonl"), **source, "filter": kept,
                   "output_tokens": tokens}


def _source(keys: KeyReader) -> dict[str, Any]:
    prefix = keys.get("s3_read_data", "source_data_prefix") or "source_data"
    files = [str(file) for file in keys.get("s3_read_data", "source_data_files") or []]
    longbench = bool(files) and all(file.startswith(_LONGBENCH) for file in files)
    keys.get("datasets", "prompt_template_keys")
    paths = [file if file.startswith("hf:") else f"{prefix}/{file}" for file in files]
    return {"source": "longbench" if longbench else "jsonl", "files": paths}


def _answer_tokens(keys: KeyReader, index: int) -> int:
    name = keys.get("experiments", index, "inference_spec", "parameter_set")
    given = (keys.get("inference_parameters", name) or {}) if name else {}
    return int(given.get("max_new_tokens") or given.get("max_tokens") or 100)


def _objectives(keys: KeyReader) -> dict[str, Any]:
    seconds, price = keys.get("report", "latency_budget"), keys.get("report", "cost_per_10k_txn_budget")
    errors = keys.get("report", "error_rate_budget")
    given = {"e2e_p95": None if seconds is None else f"{seconds}s", "price_per_10k_transactions": price,
             "error_rate": errors}
    return {key: value for key, value in given.items() if value is not None}


def _unique(run_file: dict[str, Any]) -> dict[str, Any]:
    """Endpoints that share a name get numbers."""
    names = [endpoint["name"] for endpoint in run_file["endpoints"]]
    for position, endpoint in enumerate(run_file["endpoints"]):
        if names.count(endpoint["name"]) > 1:
            endpoint["name"] = f"{endpoint['name']}-{position + 1}"
    return run_file


def _reason(path: str) -> str:
    return next((why for start, why in _OURS.items() if path == start or path.startswith(f"{start}.")), "")


def _embedded(text: str) -> str:
    """The run file inside a report of FMBench's; any other text as it is."""
    found = re.search(r"## Configuration file\s*```[.\w]*\n(.*?)\n```", text, re.DOTALL)
    return found[1] if found else text


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
