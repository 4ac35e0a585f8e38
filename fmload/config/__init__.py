"""The run file: its schema, and loading it with errors that name file, line, key, value and remedy."""

from fmload.config.dumping import dump
from fmload.config.loading import find, load, parse
from fmload.config.problems import Problem, RunFileError
from fmload.config.schema import EndpointSpec, LoadSpec, PriceSpec, PromptSpec, RunFile, TimeoutSpec

__all__ = [
    "EndpointSpec", "LoadSpec", "PriceSpec", "Problem", "PromptSpec", "RunFile", "RunFileError", "TimeoutSpec", "dump",
    "find", "load", "parse",
]
