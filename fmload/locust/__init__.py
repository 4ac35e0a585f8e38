"""The only part that imports Locust: plugin, users, shape, options, web UI. Users of scenarios are named here:
`from fmload.locust import OpenAIUser, SageMakerUser, BedrockUser`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmload.locust.answer import Answer
    from fmload.locust.client import RequestLost
    from fmload.locust.scenario import BedrockUser, ModelUser, OpenAIUser, SageMakerUser

__all__ = ["Answer", "BedrockUser", "ModelUser", "OpenAIUser", "RequestLost", "SageMakerUser"]

_WHERE = {"OpenAIUser": "scenario", "SageMakerUser": "scenario", "BedrockUser": "scenario", "ModelUser": "scenario",
          "Answer": "answer", "RequestLost": "client"}


def __getattr__(name: str) -> Any:
    """What locustfiles import; the plugin, which ties it to Locust's events, comes with each of them."""
    if name not in _WHERE:
        raise AttributeError(f"module 'fmload.locust' has no attribute '{name}'")
    import_module("fmload.locust.plugin")
    return getattr(import_module(f"fmload.locust.{_WHERE[name]}"), name)
