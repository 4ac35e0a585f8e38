"""Locust's runner as master and workers see it: messages, users by worker, and who has greeted."""

from __future__ import annotations

import logging
from typing import Any

from locust.exception import RPCError
from locust.rpc import Message as LocustMessage
from locust.runners import STATE_MISSING, MasterRunner

from fmload.protocol.messages import Hello, Message, Refused, encode, kind_of, other_version

logger = logging.getLogger(__name__)


class RunnerLink:
    """Locust's messages as the worker and the controller want them; both ends of a single process, too."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._greeted: set[str] = set()  # workers that can take our messages: Locust counts them in a moment before
        self._refused: dict[str, str] = {}

    def send(self, message: Message, worker: str | None = None) -> None:
        """Send to one worker (from the master) or to the master. Raises ConnectionError when it does not go out."""
        kind, data = kind_of(type(message)), encode(message)
        try:
            if isinstance(self._runner, MasterRunner):
                self._runner.send_message(kind, data, client_id=worker)
            else:
                self._runner.send_message(kind, data)
        except RPCError as error:
            raise ConnectionError(str(error)) from error

    def greet(self, worker: str, hello: Hello) -> str | None:
        """Take a worker in, or refuse it: it is told why and sent away. Returns why, None for one that is taken in."""
        reason = refusal(hello)
        if reason is None:
            self._greeted.add(worker)
            return None
        logger.error("worker %s is refused: %s", worker, reason)
        self._refused[worker] = reason
        self.send(Refused(reason), worker)
        self._runner.server.send_to_client(LocustMessage("quit", None, worker))  # type: ignore[no-untyped-call]
        return reason

    def knows(self, worker: str) -> bool:
        """Whether it has greeted, and was not refused; in a single process there is nobody else."""
        return not isinstance(self._runner, MasterRunner) or worker in self._greeted

    def users(self) -> dict[str, int]:
        """Users by worker, as last reported; workers that are missing, or cannot take our messages, are left out."""
        if isinstance(self._runner, MasterRunner):
            return {client.id: client.user_count for client in self._runner.clients.all
                    if client.state != STATE_MISSING and client.id in self._greeted}
        return {"local": self._runner.user_count}

    def strangers(self) -> bool:
        """Whether a worker is there that has not greeted yet."""
        return isinstance(self._runner, MasterRunner) and not (self._greeted | set(self._refused)).issuperset(
            self._runner.clients)

    def refused(self) -> dict[str, str]:
        """The workers that were refused since the last call, and why."""
        refused, self._refused = self._refused, {}
        return refused


def refusal(hello: Hello) -> str | None:
    """Why a worker may take no part, by its greeting; None where it may."""
    return other_version("worker", hello.protocol, hello.fmload)
