"""Who gets past the door of a master: those that have shown the token, each over its own connection alone."""

from __future__ import annotations

from typing import Any

import pytest
from locust.rpc import Message

from fmload.locust.door import Door
from fmload.protocol import admission
from fmload.protocol.messages import Proof, encode

TOKEN = "a token of sixteen characters"


class Runner:
    """What the door needs of Locust's master; `handled` is what got past it."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.handled: list[tuple[str, str, str]] = []
        self.sent: list[Message] = []
        self.server = self

    def handle_message(self, client_id: str, msg: Message) -> None:
        self.handled.append((client_id, msg.node_id, msg.type))

    def send_to_client(self, message: Message) -> None:
        self.sent.append(message)

    def get_worker_index(self, worker: str) -> int:
        return 0


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    """With the worker `known` admitted."""
    monkeypatch.setenv(admission.TOKEN_VARIABLE, TOKEN)
    runner: Any = Runner()
    Door(runner, "0.0.0.0")
    say(runner, "known", "client_ready")
    say(runner, "known", "fmload_hello")
    nonce = runner.sent[-1].data["nonce"]
    say(runner, "known", "fmload_proof", encode(Proof(admission.proof(TOKEN, nonce, "known"))))
    assert runner.handled == [("known", "known", "client_ready"), ("known", "known", "fmload_hello")]
    runner.handled.clear()
    return runner  # type: ignore[no-any-return]


def say(runner: Any, sender: str, kind: str, data: Any = None, of: str | None = None) -> None:
    runner.handle_message(sender, Message(kind, data, of or sender))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("kind", ["client_ready", "fmload_records", "heartbeat", "quit", "client_stopped", "stats"])
def test_nobody_speaks_in_the_name_of_a_worker_over_another_connection(runner: Runner, kind: str) -> None:
    say(runner, "stranger", kind, {}, of="known")
    assert runner.handled == []
    say(runner, "known", kind, {})
    assert runner.handled == [("known", "known", kind)]


def test_a_proof_holds_for_the_name_and_the_number_that_it_was_made_for(runner: Runner) -> None:
    for sender, name in (("other", "known"), ("other", "other")):
        say(runner, sender, "client_ready")
        say(runner, sender, "fmload_hello")
        nonce = runner.sent[-1].data["nonce"]
        proof = admission.proof(TOKEN, nonce if name == "known" else "0" * 32, name)
        say(runner, sender, "fmload_proof", encode(Proof(proof)))
        assert [message.type for message in runner.sent[-2:]] == ["fmload_refused", "quit"]
    assert runner.handled == []


def test_a_connection_that_fetches_the_locustfile_is_served_as_locust_does(runner: Runner) -> None:
    say(runner, "early_connection", "locustfile")
    assert runner.handled == [("early_connection", "early_connection", "locustfile")]
