"""An address that is a number needs no resolver: gevent's has a thread do its work, at every connection."""

from __future__ import annotations

import socket
from typing import Any

import gevent.socket
import pytest

from fmload.wire import opening


def test_an_address_that_is_a_number_is_told_as_the_resolver_does_without_asking_it(
        monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = ["127.0.0.1", "10.0.0.5", "::1", "fe80::1", "::ffff:10.0.0.5"]
    told = [socket.getaddrinfo(number, 8080, type=socket.SOCK_STREAM) for number in numbers]
    monkeypatch.setattr(gevent.socket, "getaddrinfo", asked := Asked())
    assert [opening._addresses(number, 8080) for number in numbers] == told and asked.names == []


@pytest.mark.parametrize("name", ["localhost", "10.5", "0x7f000001", "fe80::1%lo", "1.2.3.4.example", ""])
def test_whatever_else_it_is_the_resolver_says_what_it_means(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gevent.socket, "getaddrinfo", asked := Asked())
    assert opening._addresses(name, 8080) == ["the resolver's"] and asked.names == [name]


class Asked:
    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, *_: Any, **__: Any) -> list[str]:
        self.names.append(name)
        return ["the resolver's"]
