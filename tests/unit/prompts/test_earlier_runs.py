"""A server that an earlier run has sent the same prompts may answer them from its prefix cache: that is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmload.config import dump
from fmload.config.schema import RunFile
from fmload.model.prompt import Prompt
from fmload.prompts import store
from fmload.prompts.earlier_runs import sent_before
from fmload.results.folder import Results

A = {"name": "a", "protocol": "openai", "url": "http://a/v1", "model": "m"}


def made(root: Path, endpoint: dict[str, Any] = A, text: str = "x", sent: bool = True) -> tuple[RunFile, Results]:
    """A run of one endpoint and one set, as its folder is after the load, or before it."""
    run = RunFile.model_validate({"name": "t", "endpoints": [endpoint], "load": {"concurrency": [1], "window": "1s"},
                                  "prompts": [{"name": "p", "source": "fixed"}]})
    results = Results(root).create()
    results.run_yml.write_text(dump(run))
    store.write(results.prompts / "p.jsonl", [Prompt("p-0", "p", text=text), Prompt("p-1", "p", text=str(root))])
    (results.journal / "w0.log").write_bytes(b"sent" if sent else b"")
    return run, results


@pytest.mark.parametrize(("earlier", "told"), [
    ({}, True), ({"endpoint": {**A, "name": "other"}}, True), ({"endpoint": {**A, "url": "http://b/v1"}}, False),
    ({"endpoint": {**A, "model": "n"}}, False), ({"text": "y"}, False), ({"sent": False}, False)])
def test_the_same_prompts_to_the_same_server_are_told(tmp_path: Path, earlier: dict[str, Any], told: bool) -> None:
    made(tmp_path / "earlier", **earlier)
    found = list(sent_before(*made(tmp_path / "now", sent=False)))
    assert [("'p' was sent to 'a'" in line, "earlier" in line) for line in found] == [(True, True)] * told


def test_a_run_is_not_earlier_than_itself_and_what_is_no_run_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    made(tmp_path / "spoilt")[1].run_yml.write_text("endpoints: [")
    run, results = made(tmp_path / "now")
    (tmp_path / "latest").symlink_to("now")
    assert not list(sent_before(run, results))


def test_an_endpoint_without_an_address_is_not_known_again(tmp_path: Path) -> None:
    bedrock = {"name": "a", "protocol": "bedrock", "model": "m", "region": "us-east-1"}
    made(tmp_path / "earlier", bedrock)
    assert not list(sent_before(*made(tmp_path / "now", bedrock)))
