"""fmload: distributed load testing of foundation-model endpoints on Locust.

The public face, under semantic versioning: `run`, `open_run`, `Run`, `FmloadError`, `__version__`, and the columns
listed in `fmload.api`. Everything else is private and may change with any release; extensions go through the tables of
`fmload.plugins`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fmload.base.version import __version__

if TYPE_CHECKING:
    from fmload.api import Run as Run
    from fmload.api import open_run as open_run
    from fmload.api import run as run
    from fmload.base.errors import FmloadError as FmloadError

__all__ = ["FmloadError", "Run", "__version__", "open_run", "run"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for: a Locust process never does."""
    if name == "FmloadError":
        return import_module("fmload.base.errors").FmloadError
    if name in __all__:
        return getattr(import_module("fmload.api"), name)
    raise AttributeError(f"module 'fmload' has no attribute '{name}'")
