"""The wire's tests for both readers: modules that ask for `reader` run with each."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from fmload.wire import reader as readers


@pytest.fixture(params=["python", "native"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `reader: auto` comes to in this test."""
    if request.param == "python":
        monkeypatch.setattr(readers, "WHY_NOT", "left out by this test")
    elif readers.WHY_NOT:
        reason = f"NO NATIVE READER: it is not tested ({readers.WHY_NOT})"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    return request.param
