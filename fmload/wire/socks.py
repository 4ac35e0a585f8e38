"""What a SOCKS 5 proxy is told before it lets a connection through (RFC 1928; user and password: RFC 1929)."""

from __future__ import annotations

import socket
from collections.abc import Callable

from fmload.wire.exchange import Login

Say = Callable[[bytes], None]
HearSome = Callable[[int], bytes]  # exactly so many
_VERSION, _LOGIN_VERSION, _CONNECT = 5, 1, 1
_NO_LOGIN, _LOGIN = 0, 2
_IPV4, _NAME, _IPV6 = 1, 3, 4
_LENGTHS = {_IPV4: 4, _IPV6: 16}
_REFUSALS = ("", "it failed", "its rules forbid it", "the network cannot be reached", "the host cannot be reached",
             "the host refused it", "it took too long", "it knows no CONNECT", "it knows no such address")


class SocksError(Exception):
    """The proxy does not let the connection through, or speaks no SOCKS 5; the text says why."""


def tunnel(say: Say, hear: HearSome, host: str, port: int, login: Login | None) -> None:
    """Have the proxy connect to a host, a literal address or a name that it resolves. Raises SocksError."""
    say(bytes([_VERSION, 2, _NO_LOGIN, _LOGIN] if login else [_VERSION, 1, _NO_LOGIN]))
    version, method = hear(2)
    if version != _VERSION:
        raise SocksError("it does not speak SOCKS 5")
    if method == _LOGIN and login is not None:
        _log_in(say, hear, login)
    elif method != _NO_LOGIN:
        raise SocksError("it asks for another way to log in" if login else "it asks for a user and a password")
    say(bytes([_VERSION, _CONNECT, 0]) + _address(host) + port.to_bytes(2, "big"))
    version, refused, _, kind = hear(4)
    if version != _VERSION:
        raise SocksError("it does not speak SOCKS 5")
    if refused:
        why = _REFUSALS[refused] if refused < len(_REFUSALS) else f"code {refused}"
        raise SocksError(f"it refuses a connection to {host}:{port}: {why}")
    if kind not in (_NAME, *_LENGTHS):  # where that ends, and the server's own words begin, is not known
        raise SocksError(f"it answers with a kind of address {kind}, which SOCKS 5 does not have")
    hear((hear(1)[0] if kind == _NAME else _LENGTHS[kind]) + 2)  # where it connects from


def _log_in(say: Say, hear: HearSome, login: Login) -> None:
    user, password = login.user.encode(), login.password.encode()
    say(bytes([_LOGIN_VERSION, len(user)]) + user + bytes([len(password)]) + password)
    if hear(2)[1]:  # many do not tell the version that they should
        raise SocksError("it refuses the user and the password")


def _address(host: str) -> bytes:
    for family, kind in ((socket.AF_INET, _IPV4), (socket.AF_INET6, _IPV6)):
        try:
            return bytes([kind]) + socket.inet_pton(family, host)
        except OSError:
            continue
    name = host.encode("idna")
    if len(name) > 255:
        raise SocksError("the host's name is longer than SOCKS can tell")
    return bytes([_NAME, len(name)]) + name
