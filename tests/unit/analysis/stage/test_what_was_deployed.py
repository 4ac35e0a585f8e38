"""What a ledger says was paid for: each time that a thing stood, and nothing that was refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmload_analysis.stage.deployment import LEDGER, deployed


def ledger(folder: Path, *events: tuple[str, int], hourly: float = 6.0) -> None:
    lines = [{"at": "2026-01-01T00:00:00+00:00", "event": "run", "run": "r"}]
    lines += [{"at": f"2026-01-01T{minute // 60:02d}:{minute % 60:02d}:00+00:00", "event": event, "endpoint": "e",
               "kind": "ec2-instance", "name": "i", "region": "us-east-1", "hourly": hourly, "detail": {}}
              for event, minute in events]
    (folder / LEDGER).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_what_was_made_again_is_paid_for_each_time_and_not_in_between(tmp_path: Path) -> None:
    ledger(tmp_path, ("creating", 0), ("created", 1), ("deleting", 60), ("deleted", 60), ("creating", 180),
           ("created", 181), ("deleting", 239), ("deleted", 240))
    assert [each.usd for each in deployed(tmp_path)] == [pytest.approx(6.0), pytest.approx(6.0)]


def test_what_was_made_again_and_stands_is_still_up(tmp_path: Path) -> None:
    ledger(tmp_path, ("creating", 0), ("deleted", 60), ("creating", 180), ("created", 181), ("renewed", 190))
    assert [each.duration_s for each in deployed(tmp_path)] == [3600.0, None]


def test_what_was_refused_never_stood(tmp_path: Path) -> None:
    ledger(tmp_path, ("creating", 0), ("refused", 1))
    assert deployed(tmp_path) == []
