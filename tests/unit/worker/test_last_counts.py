"""The live view of a stage is whole when it ends: its last counts come with the word that nothing is in flight."""

from __future__ import annotations

from pathlib import Path

from fmload.master.collector import Collector
from fmload.protocol.messages import Idle
from fmload.results.folder import Results
from fmload.worker.worker import Worker
from tests.kept_messages import Link
from tests.one_record import record


def test_requests_since_the_last_report_are_counted_when_the_stage_ends(tmp_path: Path) -> None:
    link = Link()
    worker = Worker(link, "w", lambda *_: None)
    for _ in range(3):
        worker._tally.add(record())
    worker._end_step(0)
    [idle] = [message for message in link.sent if isinstance(message, Idle)]
    collector = Collector(Results(tmp_path), "r", Link())
    collector.on_idle("w", idle)
    [counts] = collector.live.by_endpoint_now().values()
    assert counts.outcomes == {"ok": 3}
    assert not worker.report()["groups"]  # and only once
