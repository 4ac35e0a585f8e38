"""Lets a worker in once it has shown the run's token: before that Locust's master does not know it.

A Locust worker sets itself up once its first message (`client_ready`) is acknowledged, so that is done at once;
everything else of that worker is held back or dropped. It gets no users, no plan and no messages until it has proved
itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from locust.rpc import Message
from locust.runners import MasterRunner

from fmload.base.errors import FmloadError
from fmload.protocol import admission
from fmload.protocol.messages import Challenge, Hello, Proof, Refused, decode, encode, kind_of

logger = logging.getLogger(__name__)

PATIENCE_S = 15.0
MOST_STRANGERS = 1000  # remembered at once
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_OPEN_TO_ALL = ("locustfile", "quit", "client_stopped")  # asks for the locustfile by its own, earlier connection


class Door:
    """Stands before `runner.handle_message`. Raises FmloadError where strangers can connect and no token is set."""

    def __init__(self, runner: MasterRunner, bind_host: str) -> None:
        self._token = admission.token()
        if self._token is None:
            _refuse_open_port(bind_host)
            return
        if len(self._token) < admission.SHORTEST_TOKEN:
            raise FmloadError(f"the {admission.TOKEN_VARIABLE} is shorter than {admission.SHORTEST_TOKEN} characters",
                              hint=admission.HOW_TO_MAKE)
        self._runner = runner
        self._handle: Callable[[str, Message], None] = runner.handle_message
        self._admitted: set[str] = set()
        self._held: dict[str, list[Message]] = {}
        self._nonces: dict[str, str] = {}
        for early in list(runner.clients):
            del runner.clients[early]
            self._greet(_message("client_ready", -1, early))
        runner.handle_message = self._at_the_door  # type: ignore[method-assign]

    def _at_the_door(self, client_id: str, msg: Message) -> None:
        message, worker = msg, msg.node_id
        if worker != client_id:  # a name that is another connection's
            logger.debug("%s over the connection of %s, in the name of %s: dropped", message.type, client_id, worker)
            return
        if worker in self._admitted or message.type in _OPEN_TO_ALL:
            self._handle(client_id, message)
        elif message.type == "client_ready":
            self._greet(message)
        elif message.type == kind_of(Hello) and worker in self._held:
            self._held[worker] = [*self._held[worker][:1], message]
            self._challenge(worker)
        elif message.type == kind_of(Proof) and worker in self._nonces:
            self._judge(worker, decode(Proof, message.data).proof)

    def _greet(self, message: Message) -> None:
        worker = message.node_id
        if worker not in self._held:
            if len(self._held) >= MOST_STRANGERS:
                self._forget(next(iter(self._held)))
            gevent.spawn_later(PATIENCE_S, self._tell_of, worker)
        self._held[worker] = [message]
        index = self._runner.get_worker_index(worker)  # type: ignore[no-untyped-call]
        self._send("ack", {"index": index}, worker)

    def _challenge(self, worker: str) -> None:
        nonce = self._nonces[worker] = admission.made_nonce()
        self._send(kind_of(Challenge), encode(Challenge(nonce)), worker)

    def _judge(self, worker: str, answer: str) -> None:
        nonce = self._nonces.pop(worker)
        assert self._token is not None
        if not admission.proves(self._token, nonce, worker, answer):
            logger.error("worker %s does not have the token of this run (%s): it gets no plan and no users", worker,
                         admission.TOKEN_VARIABLE)
            self._forget(worker)
            self._send(kind_of(Refused), encode(Refused(
                f"it does not have the token of this run; {admission.HOW_TO_MAKE}")), worker)
            self._send("quit", None, worker)
            return
        self._admitted.add(worker)
        for message in self._held.pop(worker):
            self._handle(worker, message)

    def _tell_of(self, worker: str) -> None:
        if worker in self._held:
            logger.warning("worker %s has not shown the token of this run (%s) within %.0f s: it gets no plan and no "
                           "users", worker, admission.TOKEN_VARIABLE, PATIENCE_S)
            self._forget(worker)

    def _forget(self, worker: str) -> None:
        self._held.pop(worker, None)
        self._nonces.pop(worker, None)

    def _send(self, kind: str, data: dict[str, Any] | None, worker: str) -> None:
        try:
            self._runner.server.send_to_client(_message(kind, data, worker))
        except Exception as error:  # it has gone already, or was never one
            logger.debug("%s did not get through to %s: %s", kind, worker, error)


def _message(kind: str, data: Any, worker: str) -> Message:
    return Message(kind, data, worker)  # type: ignore[no-untyped-call]


def _refuse_open_port(bind_host: str) -> None:
    if bind_host not in _LOOPBACK:
        raise FmloadError(f"workers can connect from other hosts, and {admission.TOKEN_VARIABLE} is not set: anybody "
                          "who reaches the port would get the plan and a share of the users",
                          hint=f"{admission.HOW_TO_MAKE}; or --master-bind-host 127.0.0.1")
    logger.warning("%s is not set: every process of this host that reaches the master's port can take part",
                   admission.TOKEN_VARIABLE)


def answer(worker: str, nonce: str) -> str:
    """A worker's answer to the master's challenge. Raises FmloadError where its environment holds no token."""
    token = admission.token()
    if token is None:
        raise FmloadError(f"the master lets in only workers that have its token, and {admission.TOKEN_VARIABLE} is not "
                          "set here", hint=admission.HOW_TO_MAKE)
    return admission.proof(token, nonce, worker)
