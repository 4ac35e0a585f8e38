"""`fmload emulate`: an LLM server that knows the truth, until it is stopped."""

from fmload.emulator.program import run
from fmload.emulator.settings import add_arguments

__all__ = ["add_arguments", "run"]
