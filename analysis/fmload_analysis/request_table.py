"""The requests of a run as a pandas DataFrame: one row each, facts and the metrics of one request."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from fmload.metrics.definitions import NS, of_level
from fmload.model.stage import Stage
from fmload_analysis.records.batches import no_records
from fmload_analysis.records.columns import READ, to_batch
from fmload_analysis.run import Run
from fmload_analysis.stage.windows import begun_ns, inside

_FACTS = ("request_id", "endpoint", "prompt_set", "prompt_id", "worker", "address", "outcome", "error", "finish_reason",
          "tokens_source")
_INSTANTS = ("scheduled", "send", "first_token", "last_token", "end")
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "chunks")
_METRICS = tuple(metric.name for metric in of_level("request") if metric.in_seconds)

REQUEST_COLUMNS: dict[str, tuple[str, str]] = {
    "stage": ("int64", "number of the stage"),
    "reported": ("bool", "whether it started inside the stage's window, and so counts in its figures"),
    **{name: ("object", f"the record's {name.replace('_', ' ')}; None where there is none") for name in _FACTS},
    **{f"{name}_s": ("float64", "seconds after the first request of the run was due, on the master's clock; NaN: never "
                                "came") for name in _INSTANTS},
    **{name: ("float64", "tokens; NaN where not known" if name != "chunks" else "token-bearing chunks")
       for name in _COUNTS},
    **{f"{name}_s": ("float64", "seconds (a token, for TPOT); NaN: null by its definition, see the page of metrics")
       for name in _METRICS},
}
"""Column → (dtype, meaning), in order."""


def requests_of(run: Run) -> pd.DataFrame:
    """All requests of all stages, by the instant at which they were due. Empty, with all columns, where there is
    none. Raises FmloadError when the files do not hold records."""
    names = [*READ, "request_id", "endpoint", "prompt_set", "error"]
    try:
        parts = [_rows(run, stage, batch) for stage in run.stages for batch in run.columns(stage, names)]
    except (KeyError, pa.ArrowException) as error:
        raise no_records(run.results.records, error) from error
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({name: [] for name in REQUEST_COLUMNS})
    origin = table["scheduled_s"].min() if len(table) else 0.0
    for name in _INSTANTS:
        table[f"{name}_s"] = table[f"{name}_s"] - origin
    typed = table.astype({name: dtype for name, (dtype, _) in REQUEST_COLUMNS.items()})
    return typed[list(REQUEST_COLUMNS)].sort_values("scheduled_s", kind="stable", ignore_index=True)


def _rows(run: Run, stage: Stage, batch: pa.RecordBatch) -> pd.DataFrame:
    origin_ns = run.stages[0].window_start_ns
    offsets = {name: worker.offset_ns for name, worker in run.workers.items()}
    columns = to_batch(batch, origin_ns, offsets).columns
    facts: dict[str, Any] = {name: batch.column(name).to_pylist() for name in _FACTS}
    window_ns = stage.window_end_ns - stage.window_start_ns
    begun_in_window = inside(begun_ns(columns) - (stage.window_start_ns - origin_ns), window_ns)
    metrics = {f"{metric.name}_s": metric.function(columns) for metric in of_level("request")
               if metric.name in _METRICS}
    return pd.DataFrame({
        "stage": stage.stage, "reported": begun_in_window, **facts,
        **{f"{name}_s": getattr(columns, f"{name}_ns") / NS for name in _INSTANTS},
        "input_tokens": columns.input_tokens, "output_tokens": columns.output_tokens,
        "cached_tokens": columns.cached_tokens, "chunks": columns.chunk_counts.astype(float), **metrics})
