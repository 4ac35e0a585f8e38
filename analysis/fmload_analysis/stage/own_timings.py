"""What servers say of each request with its answer: llama.cpp's `timings`, vLLM's `metrics` (per-request metrics on).

For the audit, beside the client's own times. llama.cpp's `predicted_ms` begins with the first token: n − 1 steps are
in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from fmload.model.stage import Stage
from fmload_analysis.run import Run

MOST_REQUESTS = 20_000  # of a stage's window, the first ones that are stored; a mean needs no more


def own_times_s(run: Run, stage: Stage) -> dict[str, float]:
    """`tpot_mean` and `ttft_mean` in seconds, over requests of the window that succeeded; what no answer tells is
    absent."""
    sums: defaultdict[str, list[float]] = defaultdict(list)
    for detail in _details(run, stage):
        for name, seconds in _times_s(detail):
            sums[name].append(seconds)
    return {name: sum(values) / len(values) for name, values in sums.items()}


def _details(run: Run, stage: Stage) -> Iterator[Mapping[str, Any]]:
    left = MOST_REQUESTS
    for batch in run.columns(stage, ["worker", "outcome", "send_ns", "detail"], where="detail"):
        if batch.column("detail").null_count == batch.num_rows:
            continue
        sent_ns = pc.fill_null(batch.column("send_ns"), 0).to_numpy(zero_copy_only=False) - run.clocks_ns(batch)
        inside = (sent_ns >= stage.window_start_ns) & (sent_ns < stage.window_start_ns + stage.window_ns)
        kept = batch.filter(pc.and_(pc.and_(pc.equal(batch.column("outcome").cast("string"), "ok"),
                                            pc.is_valid(batch.column("detail"))), pa.array(inside)))
        for text in kept.column("detail").to_pylist()[:left]:
            yield orjson.loads(text)
        left -= kept.num_rows
        if left <= 0:
            return


def _times_s(detail: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    timings, metrics = detail.get("timings"), detail.get("metrics")
    if isinstance(timings, Mapping) and timings.get("predicted_n", 0) > 1 and timings.get("predicted_ms"):
        yield "tpot_mean", timings["predicted_ms"] / (timings["predicted_n"] - 1) / 1e3
    if isinstance(metrics, Mapping):
        for name, key in (("tpot_mean", "mean_itl_ms"), ("ttft_mean", "time_to_first_token_ms")):
            if metrics.get(key):
                yield name, metrics[key] / 1e3
