"""What was run, where, with which versions: enough to run it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Cell, Code, Column, Section, Table, literal
from fmload_analysis.document.formats import name
from fmload_analysis.document.questions import HOW
from fmload_analysis.verdict.analysis import Analysis

_PAIR = (Column("What", numeric=False), Column("Value", numeric=False, wide=True))


def render(analysis: Analysis) -> Section:
    """Endpoints, environment, packages, and the run file as resolved."""
    run = analysis.run
    blocks: list[Block] = [_endpoints(run.spec), Table(_PAIR, _environment(analysis), "**Environment**")]
    packages = run.environment.get("packages")
    if isinstance(packages, Mapping) and packages:
        rows = [[name(key), name(value)] for key, value in sorted(packages.items())]
        blocks.append(Table((Column("Package", numeric=False), Column("Version", numeric=False)), rows, "Packages",
                            folded=True))
    if run.spec:
        text = yaml.safe_dump(_plain(run.spec), sort_keys=False, allow_unicode=True, width=110)
        blocks.append(Code(text, "yaml", "The run file, as resolved; secrets are names of environment variables"))
    return Section("configuration", "Configuration and environment", blocks, HOW, _gist(run.environment))


def _gist(found: Mapping[str, Any]) -> str:
    parts = {"fmload": found.get("fmload"), "Python": found.get("python"), "host": found.get("host")}
    return ", ".join(f"{what} {literal(value)}" for what, value in parts.items() if value)


def _endpoints(spec: Mapping[str, Any]) -> Table:
    labels = ("Endpoint", "Protocol", "Model", "Address", "Tokenizer", "Stream")
    rows = [[name(entry.get("name")), name(entry.get("protocol")), _code(entry.get("model")), _code(_address(entry)),
             _code(entry.get("tokenizer")), Cell("no" if entry.get("stream") is False else "yes")]
            for entry in spec.get("endpoints") or []]
    return Table([Column(label, numeric=False) for label in labels], rows, "**Endpoints**")


def _address(entry: Mapping[str, Any]) -> str:
    return entry.get("url") or ", ".join(entry.get("urls") or ()) or _target(entry)


def _target(entry: Mapping[str, Any]) -> str:
    deploy = entry.get("deploy") or {}
    parts = [deploy.get("target"), deploy.get("emulator") or deploy.get("instance_type")]
    return "deployed: " + ", ".join(str(part) for part in parts if part) if deploy else ""


def _environment(analysis: Analysis) -> list[list[Cell]]:
    run, found = analysis.run, analysis.run.environment
    pairs = {
        "Run": run.run_id or None, "Started (UTC)": run.started_utc or found.get("started_utc"),
        "fmload": found.get("fmload"), "Python": found.get("python"), "Host": found.get("host"),
        "Kernel": found.get("kernel"), "CPUs": found.get("cpus"), "Command": found.get("argv"),
        "Region": run.spec.get("region"), "Seed": run.spec.get("seed"),
        "Workers": ", ".join(run.workers) or None, "Results": str(run.results.root.name)}
    return [[Cell(key), _code(" ".join(map(str, value)) if isinstance(value, list) else value)]
            for key, value in pairs.items() if value is not None]


def _code(value: object) -> Cell:
    if value is None or value == "":
        return Cell(formats.ABSENT)
    return Cell(literal(value), str(value))


def _plain(value: Any) -> Any:
    """Mappings and sequences that YAML can write without tags."""
    return json.loads(json.dumps(value, default=str))
