"""A finding of the check, and the table that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "unknown"]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at. `remedy` says what to do, or whom to ask, where it is not ok."""

    endpoint: str
    what: str
    state: State
    detail: str
    remedy: str = ""

    @property
    def missing(self) -> bool:
        """Whether the deployment cannot work so."""
        return self.state == "missing"


def table(rows: Sequence[Row]) -> str:
    """The rows, in columns; remedies below those that want one, and a last line that counts."""
    if not rows:
        return "nothing to check: no endpoint is deployed"
    first = max(len(row.endpoint) for row in rows)
    second = max(len(row.what) for row in rows)
    lines = []
    for row in rows:
        lines.append(f"{row.endpoint:{first}}  {row.what:{second}}  {row.state:7}  {row.detail}")
        if row.remedy and row.state != "ok":
            lines.append(f"{'':{first}}  {'':{second}}           → {row.remedy}")
    missing, unknown = (sum(row.state == state for row in rows) for state in ("missing", "unknown"))
    lines.append(f"{len(rows)} looked at, {missing} missing, {unknown} unknown")
    return "\n".join(lines)
