"""What a fleet costs: by the ledger, and no longer than its hosts lived. It is the load's cost, of no endpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fmload.results.folder import Results
from fmload_deploy import bill
from fmload_deploy.fleet.base import Fleet, Told
from fmload_deploy.ledger import Entry, Ledger
from fmload_deploy.resource import sum_or_none


def lease_end(fleet: Fleet, ledger: Ledger) -> datetime:
    """When the last host ends itself."""
    known = [entry.lease_utc or entry.created_utc + timedelta(seconds=fleet.lease_s) for entry in ledger.entries()]
    return max(known, default=datetime.now(UTC))


def hourly_usd(ledger: Ledger) -> float | None:
    """USD an hour of what may exist; None where a price is unknown."""
    return sum_or_none(entry.resource.hourly for entry in ledger.entries() if entry.up)


def spent_usd(fleet: Fleet, ledger: Ledger, told: Told | None, now: datetime | None = None) -> float | None:
    """USD from creation to deletion, or to now; what ends itself, with its run or its lease, costs nothing after that.
    None where a price is unknown."""
    end = min(now or datetime.now(UTC), lease_end(fleet, ledger))
    if told is not None and told.ended_utc is not None:
        end = min(end, datetime.fromisoformat(told.ended_utc))
    return bill.spent_usd(_until(ledger.lives(), end), end)


def _until(entries: Sequence[Entry], end: datetime) -> list[Entry]:
    """The entries, none of which was billed beyond `end`; what AWS refused never was."""
    return [replace(entry, ended_utc=min(entry.ended_utc, end)) if entry.ended_utc is not None else entry
            for entry in entries if entry.event != "refused"]


def write(results: Results, fleet: Fleet, ledger: Ledger, told: Told | None) -> None:
    """Lay the load's cost into the results folder, for the report."""
    entries = [entry for entry in ledger.lives() if entry.event != "refused"]
    types = sorted({str(kind) for entry in entries if (kind := entry.resource.detail.get("instance_type"))})
    results.fleet_json.write_text(json.dumps({
        "name": fleet.name, "target": fleet.target, "workers": fleet.workers,
        "hosts": sum(entry.resource.kind in ("ec2-instance", "process") for entry in entries) or None,
        "instance_types": types, "usd": spent_usd(fleet, ledger, told),
        "hourly_usd": sum_or_none(entry.resource.hourly for entry in entries)}, indent=1), encoding="utf-8")
