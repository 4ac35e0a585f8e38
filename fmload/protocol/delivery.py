"""Getting every record from a worker to the master: counted batches, kept until acknowledged. Pure bookkeeping."""

from __future__ import annotations

from dataclasses import dataclass, field

BATCH_BYTES = 512 * 1024  # a message above 1 MB stalls the loops at both ends


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that follow each other; `first` is the number of the first, counted from the run's start."""

    first: int
    records: list[bytes]


@dataclass(slots=True)
class Outbox:
    """A worker's records in order. `added`, `sent` and `acknowledged` are counts since the run's start."""

    added: int = 0
    sent: int = 0
    acknowledged: int = 0
    _kept: list[bytes] = field(default_factory=list)

    def add(self, packed: bytes) -> None:
        """Keep one record for sending."""
        self._kept.append(packed)
        self.added += 1

    def batch(self) -> Batch | None:
        """The next records that were not sent yet, under BATCH_BYTES (one at least); None when all were sent."""
        if self.sent == self.added:
            return None
        first, size = self.sent, 0
        records: list[bytes] = []
        for index in range(first - self.acknowledged, len(self._kept)):
            size += len(self._kept[index])
            if records and size > BATCH_BYTES:
                break
            records.append(self._kept[index])
        self.sent += len(records)
        return Batch(first, records)

    def acknowledge(self, count: int) -> None:
        """The master has the first `count` records: forget them."""
        new = min(max(0, count - self.acknowledged), len(self._kept))
        del self._kept[:new]
        self.acknowledged += new
        self.sent = max(self.sent, self.acknowledged)

    def resend(self) -> None:
        """Send again, from the first record that was not acknowledged (go-back-n)."""
        self.sent = self.acknowledged


@dataclass(slots=True)
class Receipt:
    """The master's count of what it has from one worker, without a gap."""

    count: int = 0

    def accept(self, first: int, records: list[bytes]) -> list[bytes]:
        """The records that are new. A batch that begins beyond the count is refused: it will be sent again."""
        if first > self.count:
            return []
        new = records[self.count - first:]
        self.count += len(new)
        return new
