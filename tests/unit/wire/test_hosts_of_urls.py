"""Hosts that no resolver can be asked for are refused where the URL is read, not by every request."""

from __future__ import annotations

import pytest

from fmload.base.errors import FmloadError
from fmload.launch.server import base_url
from fmload.wire.url import split_proxy, split_url


@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64, f"x.{'a' * 64}.y:80"])
def test_a_name_that_is_none_is_refused(host: str) -> None:
    for read in (split_url, split_proxy, base_url):
        with pytest.raises(FmloadError, match="an empty part, or one of more than 63 characters"):
            read(f"http://{host}")


@pytest.mark.parametrize("host", ["a.b", "a.b.", "a" * 63, "_a.my_host", "[::1]", "10.0.0.1", "xn--bcher-kva.test"])
def test_a_name_or_an_address_is_taken(host: str) -> None:
    assert split_url(f"http://{host}:80/v1")[0].port == 80 and split_proxy(f"http://{host}:80").port == 80
    assert base_url(f"http://{host}:80") == f"http://{host}:80/v1"


def test_the_path_of_a_socket_may_be_longer() -> None:
    assert split_url(f"http+unix://%2F{'a' * 70}/v1")[0].socket_path == f"/{'a' * 70}"
