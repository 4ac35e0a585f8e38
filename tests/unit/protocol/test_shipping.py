from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from fmload.protocol import delivery as shipping
from fmload.protocol.delivery import Outbox, Receipt


@given(sizes=st.lists(st.integers(0, 300_000), max_size=30))
def test_batches_stay_under_the_limit_and_hold_every_record_once(sizes: list[int]) -> None:
    outbox = Outbox()
    records = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    for one in records:
        outbox.add(one)
    shipped: list[bytes] = []
    while (batch := outbox.batch()) is not None:
        assert batch.first == len(shipped)
        assert len(batch.records) == 1 or sum(map(len, batch.records)) <= shipping.BATCH_BYTES
        shipped += batch.records
    assert shipped == records


class LossyChannel(RuleBasedStateMachine):
    """Batches and acknowledgements are lost, doubled and come late; nothing is lost or doubled at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox, self.receipt = Outbox(), Receipt()
        self.made: list[bytes] = []
        self.got: list[bytes] = []
        self.on_the_way: list[tuple[int, list[bytes]]] = []
        self.acks: list[int] = []

    @rule()
    def make(self) -> None:
        self.made.append(str(len(self.made)).encode())
        self.outbox.add(self.made[-1])

    @rule()
    def send(self) -> None:
        if (batch := self.outbox.batch()) is not None:
            self.on_the_way.append((batch.first, batch.records))

    @rule(keep=st.booleans())
    def deliver(self, keep: bool) -> None:
        if self.on_the_way:
            first, records = self.on_the_way[0]
            self.got += self.receipt.accept(first, records)
            self.acks.append(self.receipt.count)
            if not keep:
                self.on_the_way.pop(0)

    @rule()
    def lose(self) -> None:
        if self.on_the_way:
            self.on_the_way.pop(0)

    @rule(lost=st.booleans())
    def acknowledge(self, lost: bool) -> None:
        if self.acks:
            count = self.acks.pop(0)
            if not lost:
                self.outbox.acknowledge(count)

    @rule()
    def resend(self) -> None:
        self.outbox.resend()

    def teardown(self) -> None:
        self.outbox.resend()
        while (batch := self.outbox.batch()) is not None:
            self.got += self.receipt.accept(batch.first, batch.records)
        self.outbox.acknowledge(self.receipt.count)
        assert self.got == self.made
        assert self.outbox.acknowledged == self.outbox.added == len(self.made)


TestLossyChannel = LossyChannel.TestCase
