"""BurstGPT (HPMLL/BurstGPT): months of ChatGPT and GPT-4 requests, as CSV of arrivals and token counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.config.schema import PromptSpec
from fmload.prompts.files import Row
from fmload.prompts.table import tokens
from fmload.prompts.trace import Arrival, Item, Trace, TraceOptions


class BurstGPT(Trace):
    """Rows with `Timestamp` (seconds), `Model`, `Request tokens`, `Response tokens`, `Total tokens`, `Log Type`.

    A response of 0 tokens is a request that failed.
    """

    columns = ("Timestamp", "Model", "Request tokens", "Response tokens", "Log Type")

    class Options(TraceOptions):
        """Keys of `source: burstgpt`."""

        models: list[str] | None = Field(None, min_length=1, description="requests to these alone: ChatGPT, GPT-4")
        log_types: list[str] | None = Field(None, min_length=1, description="these alone: Conversation log, API log")
        failures: bool = Field(False, description="replay requests that failed too, asking for one token")

    def __init__(self, spec: PromptSpec) -> None:
        super().__init__(spec)
        self._seen: dict[str, set[str]] = {"Model": set(), "Log Type": set()}

    def arrival(self, row: Row) -> Arrival | None:
        values = row.values
        answered = tokens(values, "Response tokens")
        kept = self._is_wanted(values, "Model", self.options.models)
        kept = self._is_wanted(values, "Log Type", self.options.log_types) and kept
        if not kept or (answered == 0 and not self.options.failures):
            return None
        return Arrival(float(values["Timestamp"]), tokens(values, "Request tokens"), answered)

    def _is_wanted(self, values: Mapping[str, Any], column: str, wanted: list[str] | None) -> bool:
        if wanted is None:
            return True
        self._seen[column].add(values[column])
        return values[column] in wanted

    def items(self, seed: str) -> Iterator[Item]:
        """Raises FmloadError, too, for a model or log type that no row has."""
        try:
            items = super().items(seed)
        finally:
            self._check("models", "Model")
            self._check("log_types", "Log Type")
        return items

    def _check(self, key: str, column: str) -> None:
        known = sorted(self._seen[column])
        for name in getattr(self.options, key) or ():
            if known and name not in known:
                raise FmloadError(f"prompt set '{self.name}': {key}: no row has '{name}'{did_you_mean(name, known)}",
                                  hint=f"there are: {', '.join(known)}")
