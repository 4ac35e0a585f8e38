"""From the run file's prompt sets to files of prompts: before the load, in an order that the seed decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fmload.base.errors import Faults, FmloadError
from fmload.config.server_identity import server_of
from fmload.plugins import SOURCES
from fmload.prompts import store
from fmload.prompts.belonging import belonging
from fmload.prompts.folding import folded
from fmload.prompts.media import attached, fingerprint
from fmload.prompts.selection import Progress, make_set
from fmload.results.folder import Results

if TYPE_CHECKING:
    from fmload.config.lengths import Distribution
    from fmload.config.schema import EndpointSpec, LoadSpec, PromptSpec, RunFile
    from fmload.prompts.source import Source
    from fmload.prompts.tokenizer import Tokenizer

# Prompts to prepare where neither the run file nor the source says.
_LEAST, _MOST = 50, 10_000
_MOST_TEXTS = 40_000  # of prompts with several texts each
_SHORT_REQUEST_S = 0.25
_SHORT_STEP_S = 0.1  # a request of a session
_FAST_ANSWER_S, _FAST_TOKENS_PER_S = 0.01, 500.0  # an answer of few tokens may be there sooner


def prepare(run_file: RunFile, into: Results | Path, progress: Progress | None = None) -> dict[str, Path]:
    """Write `<set>.jsonl` for every prompt set of the run file; returns the paths by set.

    `into` is a results folder (its `prompts` is used) or any folder. A set is made once for each tokenizer that
    the endpoints name, one after the other in the same file; `store.prompts_for` picks those of one endpoint.

    Raises FmloadError with all sets that cannot be made; those that can are there.
    """
    folder = into.prompts if isinstance(into, Results) else into
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FmloadError(f"{folder}: cannot be the prompts' folder: {error.strerror}",
                          hint="name another (--out)") from error
    paths = {spec.name: folder / f"{spec.name}.jsonl" for spec in run_file.prompts}
    faults = Faults()
    for spec in run_file.prompts:
        with faults.kept():
            _keep_from(paths.values(), spec)
    faults.check()
    for spec in run_file.prompts:
        with faults.kept():
            _prepare_set(run_file, spec, paths[spec.name], progress or _silent)
    faults.check()
    return paths


def wanted(run_file: RunFile, spec: PromptSpec) -> int | None:
    """How many prompts a set needs so that none is sent twice to one endpoint; None: all that the source has.

    `count` where it is given; else, for sources that invent text, what the plan can use up, between 50 and 10,000:
    its arrivals, or as many requests as users can make when each takes 0.25 s, or less where the answers are short.
    A trace invents text, too; it is whole where it is replayed.
    """
    from fmload.plan.stages import plan
    from fmload.prompts.shortage import needed

    if spec.count is not None:
        return spec.count
    load, source = run_file.load, SOURCES.load(spec.source)
    if load.exact and getattr(source, "endless", False):
        return _sent_exactly(run_file, spec)
    if not getattr(source, "endless", False) and (load.trace is not None or not getattr(source, "timed", False)):
        return None
    servers = Counter(server_of(endpoint.model_dump()) for endpoint in run_file.endpoints)
    estimated = _MOST if load.find is not None else _at_most(load, _shortest_s(spec)) * load.repeat * max(
        servers.values())
    mine = [stage for stage in plan(run_file) if stage.prompt_set == spec.name]
    planned = max(needed(run_file, mine, {}).values(), default=0)
    each = getattr(spec.options, "requests", None) or 1  # of a session
    most = max(_LEAST, min(_MOST // each, _MOST_TEXTS // (spec.batch or 1)))
    return int(min(max(estimated, planned, _LEAST), most))


def _sent_exactly(run_file: RunFile, spec: PromptSpec) -> int:
    """Prompts of a set that all stages of exactly so many requests send to the server that is sent most of them."""
    from fmload.plan.stages import plan

    servers = {one.name: server_of(one.model_dump()) for one in run_file.endpoints}
    sent: Counter[str] = Counter()
    for stage in plan(run_file):
        if stage.prompt_set == spec.name:
            sent[servers[stage.endpoint]] += stage.requests or _LEAST
    return max(sent.values(), default=_LEAST)


def _at_most(load: LoadSpec, shortest_s: float) -> float:
    """Requests of all levels together when none is shorter than that."""
    window_s = load.until.at_most_s if load.until is not None else load.window_s or 60.0
    lead_s = load.ramp_s + load.warmup.limit_s
    if isinstance(load.requests, int):
        levels: list[float] = [*(load.concurrency or ()), *(load.rate or ())]
        return load.requests * len(levels) + sum(levels) * lead_s / shortest_s
    stage_s = lead_s + window_s
    return sum(load.concurrency or ()) * stage_s / shortest_s + sum(load.rate or ()) * stage_s


def _shortest_s(spec: PromptSpec) -> float:
    requests: int | None = getattr(spec.options, "requests", None)
    if requests is not None:  # of a session
        return _SHORT_STEP_S * max(1, requests)
    length: Distribution | None = spec.output_tokens or getattr(spec.options, "answer_tokens", None)
    if length is None and (spec.batch or spec.query_tokens):
        return _FAST_ANSWER_S
    if length is None:
        return _SHORT_REQUEST_S
    tokens = length.mean or ((length.min or 0) + (length.max or 0)) / 2
    return min(_SHORT_REQUEST_S, _FAST_ANSWER_S + tokens / _FAST_TOKENS_PER_S)


def source_of(run_file: RunFile, spec: PromptSpec) -> Source:
    """Where a set's prompts come from; of a trace, the part that is replayed."""
    from fmload.prompts.trace import Trace

    source: Source = SOURCES.load(spec.source).from_spec(spec)
    trace = run_file.load.trace
    if trace is not None and isinstance(source, Trace):
        source = source.within(trace.start_s, trace.duration_s)
    return source


def _keep_from(written: Iterable[Path], spec: PromptSpec) -> None:
    """Raises FmloadError when the user's own file would be written over."""
    from fmload.prompts import files

    names = [name for name in getattr(spec.options, "files", None) or () if not files.is_elsewhere(name)]
    mine = {file.path.resolve() for file in files.find(names)}
    for path in written:
        if path.resolve() in mine:
            raise FmloadError(f"prompt set '{spec.name}' is made from {path}, which would be written over",
                              hint="name another folder (--out)")


def _silent(name: str, done: int, total: int | None) -> None:
    return


def is_kept(run_file: RunFile, spec: PromptSpec) -> bool:
    """Whether a set lies in the cache for every tokenizer, and nothing that it depends on has changed."""
    from fmload.prompts import cache

    if any(store.counted_by(endpoint) != endpoint.tokenizer for endpoint in run_file.endpoints):
        return False
    try:
        source, count = source_of(run_file, spec), wanted(run_file, spec)
        keys = [_key(run_file, spec, source, tokenizer, prefix, count) for tokenizer, prefix in _parts(run_file, spec)]
    except FmloadError:
        return False
    return all(key is not None and cache.has(key) for key in keys)


def _prepare_set(run_file: RunFile, spec: PromptSpec, path: Path, progress: Progress) -> None:
    count = wanted(run_file, spec)
    parts = [_for_tokenizer(run_file, spec, tokenizer, prefix, count, progress)
             for tokenizer, prefix in _parts(run_file, spec)]
    if run_file.load.sessions and not spec.scripted:
        parts = [folded(content, spec.name) for content in parts]
    parts = [belonging(content, run_file, spec) for content in parts]
    part = path.with_name(f"{path.name}.part")  # a run that is resumed takes what has the set's name for whole
    part.write_bytes(b"".join(parts))
    part.replace(path)


def _parts(run_file: RunFile, spec: PromptSpec) -> Iterator[tuple[Tokenizer, str]]:
    """The tokenizers under which a set is made, with what the ids of its prompts begin with under each."""
    counters = {store.counted_by(endpoint): endpoint for endpoint in reversed(run_file.endpoints)}
    for index, name in enumerate(dict.fromkeys(map(store.counted_by, run_file.endpoints))):
        yield _tokenizer(name, counters[name]), f"{spec.name}-" if index == 0 else f"{spec.name}-t{index}-"


def _tokenizer(name: str, endpoint: EndpointSpec) -> Tokenizer:
    from fmload.prompts.aligned import aligned
    from fmload.prompts.tokenizer import Tokenizer

    local = Tokenizer.load(endpoint.tokenizer)
    return local if name == endpoint.tokenizer else aligned(endpoint, name, local)


def _key(run_file: RunFile, spec: PromptSpec, source: Source, tokenizer: Tokenizer, prefix: str,
         count: int | None) -> str | None:
    """The set's name in the cache; None for one that is not kept."""
    from fmload.prompts import cache

    if spec.marked or tokenizer.remote:
        return None
    held = [*fingerprint(spec), run_file.load.workers, run_file.load.exact is not None] if spec.media else []
    return cache.key(spec, source, tokenizer, run_file.seed, count, prefix, held)


def _for_tokenizer(run_file: RunFile, spec: PromptSpec, tokenizer: Tokenizer, prefix: str, count: int | None,
                   progress: Progress) -> bytes:
    """The set under one tokenizer, from the cache when nothing that it depends on has changed."""
    from fmload.prompts import cache

    source = source_of(run_file, spec)
    key = _key(run_file, spec, source, tokenizer, prefix, count)
    content = cache.get(key) if key else None
    if content is None:
        seed = f"{run_file.seed}/{spec.name}"
        prompts = attached(make_set(spec, source, tokenizer, seed, count, progress), spec, seed, run_file)
        content = store.dumps(replace(prompt, id=f"{prefix}{index:06d}") for index, prompt in enumerate(prompts))
        if key:
            cache.put(key, content)
    else:
        progress(spec.name, content.count(b"\n"), content.count(b"\n"))
    return content
