"""Azure's LLM inference traces of 2023 and 2024 (Azure/AzurePublicDataset): CSV of arrivals and token counts."""

from __future__ import annotations

from datetime import UTC, datetime

from fmload.prompts.files import Row
from fmload.prompts.table import tokens
from fmload.prompts.trace import Arrival, Trace, TraceOptions


class AzureTrace(Trace):
    """Rows with `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`."""

    columns = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")

    class Options(TraceOptions):
        """Keys of `source: azure_trace`."""

    def arrival(self, row: Row) -> Arrival:
        values = row.values
        # "2023-11-16 18:15:46.6805900" and, in 2024, "2024-05-10 00:00:00.009930+00:00"
        at = datetime.fromisoformat(values["TIMESTAMP"])
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return Arrival(at.timestamp(), tokens(values, "ContextTokens"), tokens(values, "GeneratedTokens"))
