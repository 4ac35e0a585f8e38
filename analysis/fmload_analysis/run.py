"""Opens a results folder: what was asked, what happened, and the records of each stage in bounded memory."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from fmload.base.errors import FmloadError, first_line
from fmload.base.redaction import masked_url
from fmload.base.resources import read_json_lines, read_yaml
from fmload.config.asynchronous import Asynchronous
from fmload.config.proxies import DIRECT
from fmload.config.schema import PriceSpec
from fmload.config.server_identity import server_of
from fmload.metrics.definitions import NS, Columns, Ints
from fmload.model import proxy_time
from fmload.model.proxy_time import ProxyTime
from fmload.model.stage import Stage, StageMark
from fmload.pricing.resolve import Terms, terms_of
from fmload.results import journal, stage_file, worker_file
from fmload.results.counting import count_answers, silently
from fmload.results.folder import Results
from fmload.results.worker_file import WorkerFacts
from fmload_analysis.records.batches import is_null, made, opened
from fmload_analysis.records.columns import CHUNKS, READ, Batch, shifts, to_batch, to_chunks
from fmload_analysis.records.words import Words

_SPOILT = "it was cut off or edited: take it from a copy; the records of the folder are as they were"
DEGRADED = "endpoint_degraded"
BATCH_ROWS = 4_096
_STAGE = re.compile(r"stage-(\d{4,})")


# What later requests repeat, by source, where the run file does not say.
_ANSWERS = {"scenario": "served", "agents": "served", "agent_trace": "served", "conversation": "made_up"}


@dataclass(frozen=True, slots=True)
class MeasuredEndpoint:
    """What the analysis needs to know of an endpoint of the run file."""

    name: str
    terms: Terms = field(default_factory=Terms)
    instance_type: str | None = None
    accelerators: int | None = None
    emulated: str | None = None
    model: str | None = None
    protocol: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    urls: tuple[str, ...] = ()  # where the model has several addresses
    balance: str = "round_robin"
    proxy: ProxyTime | None = None  # None: asked directly
    looks_every_s: float | None = None  # for answers that it puts somewhere; None: it sends them


@dataclass(frozen=True, slots=True)
class Run:
    """One results folder, opened. Records are read on demand, a batch at a time."""

    results: Results
    spec: Mapping[str, Any]
    stages: tuple[Stage, ...]
    workers: Mapping[str, WorkerFacts]
    environment: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    health: tuple[Mapping[str, Any], ...]  # `at_ns` on the master's line
    run_id: str = ""
    started_utc: str | None = None
    losses: tuple[str, ...] = ()  # what could not be read of the journals, or not be stored, in words
    files: Mapping[int, list[Path]] = field(default_factory=dict)  # of records, by the number of their stage

    @property
    def name(self) -> str:
        """The run file's name, or the folder's."""
        return str(self.spec.get("name") or self.results.root.name)

    def endpoint(self, name: str) -> MeasuredEndpoint:
        """The endpoint of that name in the run file; a bare one when the run file does not name it."""
        entry = self._entry("endpoints", name)
        if not entry:
            return MeasuredEndpoint(name)
        return replace(_endpoint(entry, self.spec.get("region")), proxy=self._proxy(name, entry.get("proxy")))

    def entry(self, endpoint: str) -> Mapping[str, Any]:
        """The endpoint as the run file has it; empty when it does not name it."""
        return self._entry("endpoints", endpoint)

    @property
    def tenants(self) -> list[Mapping[str, Any]]:
        """The tenants of the run file, those that have a name."""
        return [one for one in self.spec.get("tenants") or () if isinstance(one.get("name"), str)]

    def _proxy(self, endpoint: str, url: Any) -> ProxyTime | None:
        measured = self.environment.get("proxies")
        told = measured.get(endpoint) if isinstance(measured, Mapping) else None
        return proxy_time.from_json(masked_url(str(url)), told) if url and url != DIRECT else None

    def server(self, endpoint: str) -> str:
        """What it shares with the other endpoints of the same server, by which its prefix cache is shared, too."""
        return server_of(self._entry("endpoints", endpoint) or {"name": endpoint})

    def exact_output(self, prompt_set: str) -> bool:
        """Whether the run file asks for answers exactly as long as it says."""
        return bool(self._entry("prompts", prompt_set).get("exact_output"))

    def prompt_source(self, prompt_set: str) -> str | None:
        """Where the run file takes the prompts of a set from."""
        return self._entry("prompts", prompt_set).get("source")

    def _entry(self, kind: str, name: str) -> Mapping[str, Any]:
        """The entry of that name in a list of the run file; empty when there is none."""
        return next((entry for entry in self.spec.get(kind) or [] if entry.get("name") == name), {})

    def count(self, stage: Stage) -> int:
        """How many records the stage has."""
        return sum(int(opened(path).metadata.num_rows) for path in self._files(stage))

    def _files(self, stage: Stage) -> list[Path]:
        return self.files.get(stage.stage, [])

    def columns(self, stage: Stage, names: list[str], where: str | None = None) -> Iterator[pa.RecordBatch]:
        """Some columns of a stage's records as they are stored; of the files alone that have a value in one of them,
        where that is named."""
        for path in self._files(stage):
            with opened(path) as file:
                if where is None or not is_null(file.metadata, where):
                    yield from file.iter_batches(BATCH_ROWS, columns=names)

    def _noted(self, stage: Stage) -> bool:
        """Whether a worker may have noted something in the `detail` of the stage's records."""
        load = self.spec.get("load") or {}
        return bool(load.get("safe_check")) or self.answers(stage.prompt_set) is not None

    def answers(self, prompt_set: str) -> str | None:
        """What later turns of a set's conversations repeat: `served`, `recorded` or `made_up` answers. None: it has no
        conversations."""
        entry = self._entry("prompts", prompt_set)
        told = _ANSWERS.get(str(entry.get("source")))
        return str(entry["answers"]) if entry.get("answers") else told

    def batches(self, stage: Stage) -> Iterator[Batch]:
        """The records of a stage in the order in which they are stored."""
        columns = [*READ, "detail"] if self._noted(stage) else READ
        return made(self._files(stage), columns,
                    lambda batch: to_batch(batch, stage.window_start_ns, self._offsets_ns))

    def chunks(self, stage: Stage) -> Iterator[tuple[Columns, Words]]:
        """The same, but chunks and outcomes alone."""
        return made(self._files(stage), CHUNKS,
                    lambda batch: to_chunks(batch, stage.window_start_ns, self._offsets_ns))

    def clocks_ns(self, batch: pa.RecordBatch) -> Ints:
        """Of each record, by how much the clock of its worker is ahead of the master's."""
        return shifts(batch, self._offsets_ns)

    @property
    def _offsets_ns(self) -> dict[str, int]:
        return {name: worker.offset_ns for name, worker in self.workers.items()}


def _degraded(stage: Stage, events: Sequence[Mapping[str, Any]]) -> Stage:
    """The stage with a mark for all that its endpoint lost between ramp and drain, as the deployment's watch saw it."""
    start, end = stage.ramp_start_ns or stage.window_start_ns, stage.drain_end_ns or stage.window_end_ns
    if not start or not end:
        return stage
    marks = [StageMark(str(event["kind"]), event["at_ns"], None, str(event.get("detail", ""))) for event in events
             if event.get("kind") == DEGRADED and event.get("endpoint") == stage.endpoint
             and isinstance(event.get("at_ns"), int) and start <= event["at_ns"] <= end]
    return replace(stage, marks=[*stage.marks, *marks]) if marks else stage


def open_run(root: Path) -> Run:
    """The run in a results folder. Makes the records from the journals where they are missing, and the telemetry from
    its log.

    Raises FmloadError when the folder is not one, or holds no stages.
    """
    results = Results(root)
    told = stage_file.read(results)
    workers = {worker.worker: worker for worker in worker_file.read(results)}
    _compact_if_needed(results)
    count_answers(results, silently)
    _telemetry_if_needed(results)
    events = _events(results)
    files = _records(results)
    stages = (_degraded(_closed(stage, files.get(stage.stage, []), workers), events) for stage in told.stages)
    damaged: list[int] = []
    health = [on_line for line in read_json_lines(results.health_jsonl, damaged)
              for on_line in _on_master_line(line, workers)]
    return Run(results=results, spec=_spec(results.run_yml), stages=tuple(stages), workers=workers,
               environment=_json(results.environment_json, {}), health=tuple(health),
               events=(*events, *_told(results.health_jsonl, damaged)),
               run_id=told.run_id, started_utc=told.started_utc, losses=tuple(journal.losses(results)), files=files)


def _events(results: Results) -> tuple[Mapping[str, Any], ...]:
    """What befell the run; and that lines of the file are damaged, where they are."""
    damaged: list[int] = []
    events = [event for event in read_json_lines(results.events_jsonl, damaged) if isinstance(event.get("kind"), str)]
    return (*events, *_told(results.events_jsonl, damaged))


def _told(path: Path, damaged: list[int]) -> list[dict[str, Any]]:
    """An event for the damaged lines of a file; none where there are none."""
    return [{"kind": "lines_damaged", "detail": f"{path.name}: {len(damaged)} lines cannot be read, the first is line "
                                                f"{damaged[0]}"}] if damaged else []


def _closed(stage: Stage, files: Sequence[Path], workers: Mapping[str, WorkerFacts]) -> Stage:
    """A stage that nobody closed, for its run was killed or goes on, as one interrupted when its last request ended.

    `fmload run` calls it interrupted in the plan, too; where that was killed as well, its window is still open.
    """
    if stage.status != "running" and not (stage.status == "interrupted" and stage.window_start_ns
                                          and not stage.window_end_ns):
        return stage
    end_ns = stage.window_end_ns or (max(_last_end_ns(files, workers), stage.window_start_ns)
                                     if stage.window_start_ns else 0)
    told = StageMark("interrupted", end_ns, None, "the run was killed in this stage, or goes on")
    return replace(stage, status="interrupted", marks=[*stage.marks, told], window_end_ns=end_ns,
                   window_closed=stage.window_closed or "interrupted")


def _last_end_ns(files: Sequence[Path], workers: Mapping[str, WorkerFacts]) -> int:
    """When the last of the stage's requests ended, on the master's clock; 0 when none did."""
    last, offsets = 0, {name: worker.offset_ns for name, worker in workers.items()}
    for path in files:
        with opened(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=["worker", "end_ns"]):
                ended = batch.filter(pc.not_equal(batch.column("end_ns"), 0))
                if ended.num_rows:
                    last = max(last, int((ended.column("end_ns").to_numpy() - shifts(ended, offsets)).max()))
    return last


def _records(results: Results) -> dict[int, list[Path]]:
    """The files of records by stage, in order: one look at a folder that may hold thousands."""
    found: defaultdict[int, list[Path]] = defaultdict(list)
    for path in sorted(results.records.glob("stage-*.parquet")):
        if number := _STAGE.match(path.name):
            found[int(number[1])].append(path)
    return dict(found)


def _compact_if_needed(results: Results) -> None:
    journals = list(results.journal.glob("*.log")) if results.journal.is_dir() else []
    if not journals:
        return
    stored = list(results.records.glob("*.parquet")) if results.records.is_dir() else []
    newest_journal = max(path.stat().st_mtime_ns for path in journals)
    if stored and min(path.stat().st_mtime_ns for path in stored) >= newest_journal:
        return
    from fmload.results.journal import compact

    compact(results)


def _telemetry_if_needed(results: Results) -> None:
    """Of a run that was killed there are the collectors' lines alone."""
    log, columns = results.telemetry_log, results.telemetry_parquet
    if log.exists() and not (columns.exists() and columns.stat().st_mtime_ns > log.stat().st_mtime_ns):
        from fmload.results.samples import to_parquet

        to_parquet(log, columns)


def _endpoint(entry: Mapping[str, Any], region: str | None) -> MeasuredEndpoint:
    try:
        if isinstance(entry.get("price"), Mapping):
            PriceSpec.model_validate(entry["price"])
        terms = terms_of(entry, region)
    except (ValueError, TypeError, AttributeError) as error:
        raise FmloadError(f"run.yml: endpoint '{entry.get('name')}': its price cannot be read: {first_line(error)}",
                          hint="mend run.yml in the results folder") from error
    values = _known(MeasuredEndpoint, entry)
    values["terms"] = terms
    values["instance_type"] = (terms.price.instance_type if terms.price else None) or terms.instance_type
    values["parameters"] = entry.get("parameters") or {}
    values["looks_every_s"] = _poll_s(entry.get("asynchronous"))
    values["urls"], values["balance"] = tuple(entry.get("urls") or ()), entry.get("balance") or "round_robin"
    return MeasuredEndpoint(**values)


def _poll_s(asynchronous: Any) -> float | None:
    """How often the answers of an asynchronous endpoint are looked for; None for others."""
    if not isinstance(asynchronous, Mapping):
        return None
    try:
        return Asynchronous.model_validate(asynchronous).poll_s
    except ValueError:
        return None


def _known(kind: type[Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    names = {column.name for column in fields(kind)}
    return {name: value for name, value in entry.items() if name in names}


def _json(path: Path, default: Any = None) -> Any:
    if not path.exists():
        return default
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise FmloadError(f"{path} cannot be read: {error.strerror}", hint="mind its permissions") from error
    except (ValueError, RecursionError) as error:
        raise FmloadError(f"{path} is not JSON: {first_line(error)}", hint=_SPOILT) from error
    return found if default is None or isinstance(found, type(default)) else default


_LISTS, _MAPPINGS = ("endpoints", "prompts", "tenants", "telemetry"), ("load", "report", "objectives", "timeouts")


def _spec(path: Path) -> dict[str, Any]:
    """The run file as far as the analysis reads it; empty where there is none."""
    hint = "take it from a copy, or move it away: the report then knows neither prices nor objectives"
    if not path.exists():
        return {}
    try:
        found = read_yaml(path) or {}
    except OSError as error:
        raise FmloadError(f"{path} cannot be read: {error.strerror}", hint="mind its permissions") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FmloadError(f"{path} is no YAML: {first_line(error)}", hint=hint) from error
    if not isinstance(found, dict):
        raise FmloadError(f"{path} holds no run file", hint=hint)
    for name in _LISTS:
        if not all(isinstance(entry, dict) for entry in _listed(found.get(name))):
            raise FmloadError(f"{path}: {name}: not a list of mappings", hint=hint)
    for name in _MAPPINGS:
        if not isinstance(found.get(name) or {}, dict):
            raise FmloadError(f"{path}: {name}: not a mapping", hint=hint)
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _on_master_line(line: dict[str, Any], workers: Mapping[str, WorkerFacts]) -> Iterator[dict[str, Any]]:
    """A line of the clients' health; none where it has no instant of a worker."""
    at_ns, name = line.get("at_ns"), line.get("worker")
    if isinstance(at_ns, int) and isinstance(name, str):
        yield {**line, "at_ns": at_ns - (workers[name].offset_ns if name in workers else 0)}



def stage_s(stage: Stage) -> float:
    """Seconds from the stage's ramp to the end of its drain; 0 when it never ran."""
    start = stage.ramp_start_ns or stage.warmup_start_ns or stage.window_start_ns
    end = stage.drain_end_ns or stage.window_end_ns
    return max(end - start, 0) / NS if start and end else 0.0
