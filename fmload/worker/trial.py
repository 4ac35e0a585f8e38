"""What the request before the load finds out about an endpoint: whether its server takes all that it is asked for.

What is found out holds for the worker that made the request.
"""

from __future__ import annotations

from collections.abc import Callable

from fmload.endpoints.base import Endpoint


def is_unsure(endpoint: Endpoint) -> bool:
    """Whether the endpoint asks for what not every server takes."""
    return bool(getattr(endpoint, "unsure", False))


def asks_less(endpoint: Endpoint) -> bool:
    """Have the endpoint leave out what not every server takes; False where it asks for nothing of the kind."""
    ask_less: Callable[[], bool] | None = getattr(endpoint, "ask_less", None)
    return ask_less is not None and ask_less()
