"""Who an instance lets in: `address: private` opens it to the private address of this machine, and to no other."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload_deploy.ec2 import access


def own_address(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    """As if this machine had that address in its network; None: no network."""
    class Probe:
        def __enter__(self) -> Probe:
            return self

        def __exit__(self, *_: Any) -> None:
            """Nothing was opened."""

        def connect(self, to: tuple[str, int]) -> None:
            if address is None:
                raise OSError("network is unreachable")

        def getsockname(self) -> tuple[str, int]:
            return str(address), 1
    monkeypatch.setattr(access.socket, "socket", lambda *_: Probe())


@pytest.mark.parametrize("address", ["10.0.3.7", "172.31.9.9", "192.168.1.2"])
def test_the_private_address_is_this_machines_own(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    own_address(monkeypatch, address)
    assert access.my_private_address() == address


@pytest.mark.parametrize("address", ["54.1.2.3", "127.0.0.1", "0.0.0.0", None])
def test_without_a_private_address_allow_is_demanded(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    own_address(monkeypatch, address)
    with pytest.raises(FmloadError) as error:
        access.my_private_address()
    assert "allow" in (error.value.hint or "")
