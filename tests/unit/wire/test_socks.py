"""What is said to a SOCKS 5 proxy, byte by byte as RFC 1928 and RFC 1929 have it, and what it may answer."""

from __future__ import annotations

import pytest

from fmload.wire.exchange import Login
from fmload.wire.socks import SocksError, tunnel

OPENED = bytes([5, 0, 0, 1, 127, 0, 0, 1, 0, 80])


def said(answers: bytes, host: str = "far.example", login: Login | None = None) -> bytes:
    """What is said to a proxy that answers so; all of its answers must be heard."""
    words, left = bytearray(), bytearray(answers)

    def hear(count: int) -> bytes:
        heard = bytes(left[:count])
        assert len(heard) == count, "it waits for more than the proxy says"
        del left[:count]
        return heard

    tunnel(words.extend, hear, host, 443, login)
    assert not left
    return bytes(words)


@pytest.mark.parametrize(("host", "told"), [
    ("far.example", b"\x03\x0bfar.example"), ("10.0.0.1", b"\x01\x0a\0\0\x01"), ("::1", b"\x04" + bytes(15) + b"\x01"),
    ("bücher.example", b"\x03\x15xn--bcher-kva.example")])
def test_names_and_addresses_are_told_in_their_own_forms(host: str, told: bytes) -> None:
    assert said(b"\x05\x00" + OPENED, host) == b"\x05\x01\x00" + b"\x05\x01\x00" + told + b"\x01\xbb"


def test_user_and_password_are_told_where_the_proxy_asks_for_them() -> None:
    login = Login("me", "pässword")
    greeting, request = b"\x05\x02\x00\x02", b"\x05\x01\x00\x03\x0bfar.example\x01\xbb"
    assert said(b"\x05\x02\x01\x00" + OPENED, login=login) == greeting + b"\x01\x02me\x09p\xc3\xa4ssword" + request
    assert said(b"\x05\x00" + OPENED, login=login) == greeting + request


@pytest.mark.parametrize("bound", [bytes([1, 1, 2, 3, 4]), bytes([3, 2]) + b"ab", bytes([4]) + bytes(16)])
def test_where_the_proxy_connects_from_is_read_to_its_end(bound: bytes) -> None:
    said(b"\x05\x00" + b"\x05\x00\x00" + bound + b"\x01\xbb")


@pytest.mark.parametrize(("answers", "login", "why"), [
    (b"HT", None, "does not speak SOCKS 5"), (b"\x04\x00", None, "does not speak SOCKS 5"),
    (b"\x05\xff", None, "asks for a user"), (b"\x05\x02", None, "asks for a user"),
    (b"\x05\xff", Login("me", "pw"), "another way to log in"), (b"\x05\x01", Login("me", "pw"), "another way"),
    (b"\x05\x02\x01\x01", Login("me", "pw"), "refuses the user"),
    (b"\x05\x00\x05\x02\x00\x01", None, "far.example:443: its rules forbid it"),
    (b"\x05\x00\x05\x63\x00\x01", None, "code 99"), (b"\x05\x00HTTP", None, "does not speak SOCKS 5"),
    (b"\x05\x00\x05\x00\x00\x02", None, "kind of address 2, which SOCKS 5 does not have")])
def test_what_a_proxy_refuses_is_told(answers: bytes, login: Login | None, why: str) -> None:
    with pytest.raises(SocksError, match=why):
        said(answers, login=login)
