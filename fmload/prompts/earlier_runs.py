"""Prompts that earlier runs sent to the same server, whose prefix cache may have kept them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fmload.base.resources import read_yaml
from fmload.config.schema import EndpointSpec, RunFile
from fmload.config.server_identity import server_of
from fmload.results.folder import Results


def sent_before(run: RunFile, results: Results) -> Iterator[str]:
    """A sentence for every prompt set of a prepared run that one in a folder beside it sent to the same server.

    Sets of one seed begin alike, so their first prompts tell. Servers are known by their addresses.
    """
    earlier = sorted((Results(folder) for folder in results.root.parent.iterdir()
                      if folder.is_dir() and not folder.is_symlink() and not folder.samefile(results.root)),
                     key=lambda one: one.root.stat().st_mtime_ns, reverse=True)
    for spec in run.prompts:
        first = _first(results, spec.name)
        alike = (one for one in earlier if first and first == _first(one, spec.name))
        found = next(((one, names) for one in alike if (names := _sent_to(one, run.endpoints))), None)
        if found:
            yield (f"prompt set '{spec.name}' was sent to '{', '.join(found[1])}' by {found[0].root} before: a prefix "
                   "cache that is still warm makes it fast. Give another seed, or nonce: true")


def _first(results: Results, prompt_set: str) -> bytes:
    """The line of a set's first prompt; empty where there is none."""
    try:
        with (results.prompts / f"{prompt_set}.jsonl").open("rb") as file:
            return file.readline()
    except OSError:
        return b""


def _sent_to(results: Results, endpoints: list[EndpointSpec]) -> list[str]:
    """Those of the endpoints whose server the run in this folder has sent something to."""
    if not _has_sent(results.journal):
        return []
    try:
        entries = read_yaml(results.run_yml)["endpoints"]
    except (OSError, yaml.YAMLError, TypeError, KeyError):  # of another fmload, or edited
        return []
    servers = {server_of(entry) for entry in entries}
    return [spec.name for spec in endpoints if _has_address(given := spec.model_dump()) and server_of(given) in servers]


def _has_address(endpoint: Mapping[str, Any]) -> bool:
    return any(endpoint.get(key) for key in ("url", "urls", "endpoint_name"))


def _has_sent(journal: Path) -> bool:
    return any(path.stat().st_size for path in journal.glob("*.log"))
