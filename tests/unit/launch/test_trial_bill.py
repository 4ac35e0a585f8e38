"""What a trial has cost: its ledger counts, though nothing was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmload.cli.stacks import billed_usd


def line(event: str, at: str, hourly: float | None) -> str:
    return json.dumps({"at": f"2026-01-01T{at}:00+00:00", "event": event, "endpoint": "a", "kind": "ec2-instance",
                       "name": f"i-{hourly}", "region": "us-east-1", "hourly": hourly, "detail": {}})


def test_an_instance_that_never_served_is_billed_from_creation_to_deletion(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text("\n".join([
        line("creating", "10:00", 2.0), line("creating", "10:00", None), line("deleted", "10:30", 2.0)]))
    assert billed_usd(tmp_path) == pytest.approx(1.0)


def test_where_nothing_with_a_price_was_deployed_nothing_is_said(tmp_path: Path) -> None:
    assert billed_usd(tmp_path) is None
    (tmp_path / "ledger.jsonl").write_text(line("creating", "10:00", 0.0))
    assert billed_usd(tmp_path) is None
