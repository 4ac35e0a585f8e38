"""What to do about a refusal by its status alone."""

from __future__ import annotations

import pytest

from fmload.endpoints.remedies import remedy


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_of_a_redirect_the_address_that_it_names_is_the_remedy(status: int) -> None:
    told = remedy(status, f"HTTP {status}: redirected to /model/v1/chat/completions; redirects are not followed")
    assert told is not None and "address that it redirects to" in told


def test_a_request_that_is_too_large_has_a_remedy() -> None:
    told = remedy(413, "HTTP 413: <h1>Request Entity Too Large</h1>")
    assert told is not None and "shorter prompts" in told
