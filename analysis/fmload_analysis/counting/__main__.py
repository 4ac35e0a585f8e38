"""`python -m fmload_analysis.counting RESULTS`: count the answers that their server did not, and lay a count beside the
server's where answers were kept. Writes counts.parquet and counting.json, and the records anew; says how far it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError

from fmload.base.errors import FmloadError, first_line
from fmload.base.files import write_whole
from fmload.base.resources import read_yaml
from fmload.config.schema import EndpointSpec, RunFile
from fmload.results import counts
from fmload.results.counts import Count
from fmload.results.folder import Results
from fmload.results.journal import compact
from fmload_analysis.counting.tokenizers import Counter, counter_of

BATCH_ROWS = 1_000
SAMPLE, REMOTE_SAMPLE = 200, 10  # answers of an endpoint whose chunks are counted, too: one count a chunk
COMPARED = 500  # kept answers of an endpoint that are counted beside the server


@dataclass(slots=True)
class Tally:
    """What was counted of one endpoint's answers."""

    counter: Counter
    counted: int = 0
    sampled: int = 0
    by_stage: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # (server's, tokenizer's) by stage
    not_compared: dict[int, dict[str, int]] = field(default_factory=dict)  # kept answers by stage and reason

    def to_json(self) -> dict[str, Any]:
        """As counting.json has it."""
        return {"tokenizer": self.counter.name, "source": self.counter.source, "answers": self.counted,
                "chunks_of": self.sampled,
                "stages": {str(stage): {"answers": len(pairs), "server": sum(theirs for theirs, _ in pairs),
                                        "tokenizer": sum(ours for _, ours in pairs),
                                        "not_compared": self.not_compared.get(stage, {})}
                           for stage, pairs in self.by_stage.items()}}

    def left_out(self, stage: int, why: str) -> None:
        """A kept answer of the stage cannot be laid beside the server's count."""
        reasons = self.not_compared.setdefault(stage, {})
        reasons[why] = reasons.get(why, 0) + 1


def main(argv: list[str]) -> int:
    """Count; 0 also where there was nothing to count."""
    results = Results(Path(argv[0]))
    specs = _specs(results)
    tallies: dict[str, Tally] = {}
    counted = dict(_counted(results, specs, tallies))
    _compare(results, specs, tallies)
    if counted:
        counts.write(results.counts_parquet, counted)
        compact(results)
    told = {name: tally.to_json() for name, tally in tallies.items()}
    write_whole(results.counting_json, json.dumps({"schema": 1, "endpoints": told}, indent=1) + "\n")
    for name, tally in tallies.items():
        if tally.counted:
            print(f"{name}: {tally.counted:,} answers counted by {tally.counter.name}"
                  + (", approximately" if tally.counter.source == "approximate" else ""), flush=True)
    return 0


def _specs(results: Results) -> dict[str, EndpointSpec]:
    """The endpoints of the run file; none where it cannot be read any more."""
    try:
        run = RunFile.model_validate(read_yaml(results.run_yml))
    except (OSError, ValidationError, FmloadError) as error:
        print(f"counting answers: {results.run_yml.name} tells no tokenizer ({first_line(error)})", flush=True)
        return {}
    return {spec.name: spec for spec in run.endpoints}


def _tally(name: str, specs: dict[str, EndpointSpec], tallies: dict[str, Tally]) -> Tally:
    if name not in tallies:
        tallies[name] = Tally(counter_of(specs.get(name)))
    return tallies[name]


def _rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file with those of the columns that it has: an older one may lack some."""
    if path.exists():
        with pq.ParquetFile(path) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(BATCH_ROWS, columns=there):
                yield from batch.to_pylist()


def _counted(results: Results, specs: dict[str, EndpointSpec],
             tallies: dict[str, Tally]) -> Iterator[tuple[str, Count]]:
    path = results.texts_parquet
    total = pq.read_metadata(path).num_rows if path.exists() else 0
    for done, row in enumerate(_rows(path, ["request_id", "endpoint", "uncounted", "lengths"]), 1):
        tally = _tally(row["endpoint"], specs, tallies)
        tokenizer, text = tally.counter.tokenizer, row["uncounted"] or ""
        tally.counted += 1
        chunks = None
        if tally.counter.source == "tokenizer" and tally.sampled < (REMOTE_SAMPLE if tokenizer.remote else SAMPLE):
            chunks = chunk_tokens(text, row["lengths"], tokenizer.count)
            tally.sampled += chunks is not None
        yield row["request_id"], Count(tally.counter.count(text), tally.counter.source, chunks)
        if done % BATCH_ROWS == 0:
            print(f"counting answers: {done:,} of {total:,}", flush=True)


def chunk_tokens(text: str, lengths: list[int], count: Any) -> list[int] | None:
    """Tokens of each chunk: by how many the count of the text up to and with it grows. None where a chunk's text makes
    no token of its own, for the tokens of a text cut there are not those of the whole."""
    end, before, found = 0, 0, []
    for length in lengths:
        end += length
        total = count(text[:end])
        found.append(total - before)
        before = total
    return found if found and min(found) > 0 else None


def _compare(results: Results, specs: dict[str, EndpointSpec], tallies: dict[str, Tally]) -> None:
    """Kept answers that the server counted, counted here, too: by the model's own tokenizer alone."""
    records = {row["request_id"]: row for path in sorted(results.records.glob("*.parquet"))
               for row in _rows(path, ["request_id", "output_tokens", "reasoning_tokens", "tokens_source", "stage"])
               } if results.answers_parquet.exists() else {}
    for row in _rows(results.answers_parquet, ["request_id", "endpoint", "text", "reasoning", "cut", "tools"]):
        record = records.get(row["request_id"])
        if record is None:
            continue
        tally = _tally(row["endpoint"], specs, tallies)
        pairs = tally.by_stage.setdefault(record["stage"], [])
        if why := _not_comparable(row, record, tally.counter):
            tally.left_out(record["stage"], why)
        elif len(pairs) < COMPARED:
            text = (row["reasoning"] or "") + (row["text"] or "")
            pairs.append((record["output_tokens"], tally.counter.tokenizer.count(text)))


def _not_comparable(kept: dict[str, Any], record: dict[str, Any], counter: Counter) -> str | None:
    """Why a kept answer cannot be laid beside the server's count; None where it can."""
    if record["tokens_source"] != "server":
        return "the server does not count them"
    if kept["cut"]:
        return "they were cut where they were kept"
    if kept.get("tools"):
        return "they hold calls of tools, of whose tokens names and arguments are a part"
    if record["reasoning_tokens"] and not kept["reasoning"]:
        return "they hold reasoning that is counted and not shown"
    return None if counter.source == "tokenizer" else "the model's own tokenizer is not at hand"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
