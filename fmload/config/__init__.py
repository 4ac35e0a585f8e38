"""The run file: its schema, and loading it with errors that name file, line, key, value and remedy."""

from fmload.config.schema import EndpointSpec, LoadSpec, PriceSpec, PromptSpec, RunFile, TimeoutSpec

__all__ = ["EndpointSpec", "LoadSpec", "PriceSpec", "PromptSpec", "RunFile", "TimeoutSpec"]
