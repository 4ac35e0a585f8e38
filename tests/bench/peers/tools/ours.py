"""fmload: `fmload run` on a run file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml

from tests.bench.peers.tool import Load, Place, Seen, Tool


def command(load: Load, place: Place) -> Sequence[str]:
    path = place.folder / "run.yml"
    path.write_text(yaml.safe_dump({
        "name": "peers",
        "endpoints": [{"name": "server", "protocol": "openai", "url": f"{place.url}/v1", "model": place.model,
                       **({} if place.counts else {"tokenizer": str(place.tokenizer)})}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": load.input_tokens, "count": load.requests,
                     "output_tokens": load.output_tokens, "exact_output": True}],
        "load": {"concurrency": [load.streams], "requests": {"exactly": load.requests}, "ramp": 0, "trial": False}}))
    return [str(place.programs / "fmload"), "run", str(path), "--out", str(place.folder / "out")]


def read(folder: Path) -> list[Seen]:
    """Of its records: a row a request, instants in ns."""
    rows = [row for path in sorted((folder / "out" / "records").glob("*.parquet")) for row in pq.read_table(
        path, columns=["request_id", "send_ns", "first_token_ns", "chunk_ns", "outcome"]).to_pylist()]
    return [Seen(row["request_id"], (row["first_token_ns"] - row["send_ns"]) / 1e9,
                 (np.diff(np.asarray(row["chunk_ns"], np.int64)) / 1e9).tolist(), None)
            for row in rows if row["outcome"] == "ok"]


TOOL = Tool("fmload", command, read, program="fmload", installed=True,
            ttft="first chunk with a token, stamped by the kernel − just before the request's first byte is written",
            itl="every gap between chunks with tokens, by the kernel's stamps",
            source="`fmload run` of [Running a load test](running.md)")
