"""A shim: locustfiles of earlier versions import from here. The names live in `fmload.locust`."""

from fmload.locust.plugin import PromptUser, StageShape

__all__ = ["PromptUser", "StageShape"]
