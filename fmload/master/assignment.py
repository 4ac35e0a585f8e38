"""What the master hands out: the plan and a shard of the prompts to each worker, and the slots of every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgpack

from fmload import arrivals
from fmload.base.clock_offset import boot_id, host_name
from fmload.base.errors import FmloadError
from fmload.base.version import __version__
from fmload.config.dumping import values
from fmload.config.goodput import judged_by, limits_of
from fmload.config.objectives import Objective
from fmload.config.schema import EndpointSpec, RunFile
from fmload.config.server_identity import server_of
from fmload.master.worker_registry import WorkerRegistry
from fmload.model.prompt import Prompt
from fmload.model.stage import Stage
from fmload.plan import exact
from fmload.plan.arrivals import asked_of
from fmload.prompts import replay, store
from fmload.prompts.deal import deal_key
from fmload.protocol.messages import PROTOCOL_VERSION, Adopt, LaneShare, Plan, Prompts, Step
from fmload.results import journal
from fmload.results.folder import Results
from fmload.results.resume import history_of

PROMPT_BATCH_BYTES = 512 * 1024  # messages above 1 MB stall the loops at both ends
_GOLDEN_RATIO = (5 ** 0.5 - 1) / 2  # its multiples, less their whole parts, lie far from each other


def deal(slots: list[int], users: Mapping[str, int]) -> dict[str, list[int]]:
    """Slots of every lane on every worker: each lane's sum is what was asked, no worker gets more than its users.

    Lanes are spread as evenly as the users are. With too few users in all, the later lanes get fewer.
    """
    left = dict(sorted(users.items()))
    dealt = {worker: [0] * len(slots) for worker in left}
    for lane, wanted in enumerate(slots):
        for _ in range(min(wanted, sum(left.values()))):
            worker = min((w for w in left if left[w]), key=lambda w: (dealt[w][lane], -left[w]))
            dealt[worker][lane] += 1
            left[worker] -= 1
    return dealt


def _answers(run: RunFile, results: Results, workers: int) -> dict[str, int] | None:
    """What one worker may keep of the answers: its share of what earlier sessions have left. None: nothing."""
    limits = run.keep_answers
    if limits is None:
        return None
    left_bytes = max(0, limits.total_bytes - journal.answer_bytes(results))
    return {"each_bytes": limits.each_bytes, "left_bytes": left_bytes // workers}


def _texts(run: RunFile, results: Results, workers: int) -> dict[str, int] | None:
    """What one worker may keep of answers that their server does not count. None: nothing."""
    limits = run.count_answers
    if limits is None:
        return None
    left_bytes = max(0, limits.total_bytes - journal.text_bytes(results))
    return {"each_bytes": limits.each_bytes, "left_bytes": left_bytes // workers}


def _judged(run: RunFile) -> tuple[Objective, ...]:
    return judged_by(run.objectives, run.load.find.objective if run.load.find else None)


class Assignment:
    """The shards of one run, and the messages that carry plan, prompts and steps."""

    def __init__(self, run: RunFile, run_id: str, results: Results, workers: int,
                 stages: Sequence[Stage] = ()) -> None:
        """Reads the prompt sets. `stages`: the plan. Raises FmloadError when a set is missing or empty."""
        self._stages = stages
        self._run = run
        self._run_id = run_id
        self._results = results
        sets = {spec.name: store.read(results.prompts / f"{spec.name}.jsonl") for spec in run.prompts}
        for name, prompts in sets.items():
            if not prompts:
                raise FmloadError(f"prompt set '{name}': {results.prompts / f'{name}.jsonl'} holds no prompt",
                                  hint="remove the file, so that the set is prepared again")
        dealt = {name: store.shards(prompts, workers) for name, prompts in sets.items()}
        # Fewer prompts than workers: those that got none share all, which repeats prompts but sends some.
        # Of exactly so many requests every worker has the whole set, and is told which part of it is its own.
        self._sets = sets
        self._shards = [{name: prompts if run.load.exact else dealt[name][index] or prompts
                         for name, prompts in sets.items()} for index in range(workers)]
        self._empty = {(name, index) for name in sets for index in range(workers) if not dealt[name][index]}
        self._shard_of: dict[str, int] = {}
        self._answers = _answers(run, results, workers)
        self._texts = _texts(run, results, workers)
        self._history = history_of(results)

    def give_plan(self, registry: WorkerRegistry, worker: str, index: int, trial: bool) -> None:
        """The plan and shard number `index` (counted round) to one worker, which answers `fmload_ready`."""
        number = index % len(self._shards)
        holders = sum(held == number for other, held in self._shard_of.items() if other != worker)
        self._shard_of[worker] = number
        shard = self._shards[number]
        registry.send(Plan(
            run=values(self._run), run_id=self._run_id, index=index, trial=trial, answers=self._answers,
            texts=self._texts,
            prompts={name: len(prompts) for name, prompts in shard.items()},
            begins={spec.name: {name: self._begin(spec, prompts, holders) for name, prompts in shard.items()}
                    for spec in self._run.endpoints},
            journal=str(self._results.journal.resolve()), host=host_name(), boot_id=boot_id(),
            limits=limits_of(_judged(self._run)), protocol=PROTOCOL_VERSION, fmload=__version__), worker)
        for name, prompts in shard.items():
            for batch in _batches(prompts):
                registry.send(Prompts(name, batch), worker)

    def _begin(self, endpoint: EndpointSpec, shard: list[Prompt], holders: int) -> str:
        """The prompt of a shard with which an endpoint begins: one that no earlier session has sent. Workers that
        hold the same shard, as those that join late, begin far from each other."""
        prompts = store.of_endpoint(shard, endpoint)
        server = server_of(endpoint.model_dump())
        sharing = [spec.name for spec in self._run.endpoints if server_of(spec.model_dump()) == server]
        first = self._history.goes_on(sharing, prompts, len(self._shards))
        return prompts[first + int(holders * _GOLDEN_RATIO % 1 * (len(prompts) - first))].id

    def give_slots(self, registry: WorkerRegistry, step: int, stages: list[Stage], ramps_s: list[float],
                   since_ns: int) -> None:
        """Every living worker's slots of every lane, or its share of the arrivals that are due after `since_ns`.

        A shard of a trace is replayed by one worker, though a late one may have got it, too; those of workers that are
        gone by all others. Writes into the stages how many slots were given, and to whom.
        """
        users = registry.users()
        slots_of = [stage.slots for stage in stages]
        # Users of a shape of the locustfile's come and go: whoever is there has a slot.
        dealt = dict.fromkeys(users, slots_of) if self._run.load.shape else deal(slots_of, users)
        for lane, stage in enumerate(stages):
            stage.workers = sorted({*stage.workers, *users})
            stage.users = stage.slots if self._run.load.shape else (
                sum(slots[lane] for slots in dealt.values()) if stage.slots else None)
        parts = {stage.stage: self._parts(stage, [dealt[worker][lane] for worker in users])
                 for lane, stage in enumerate(stages) if stage.exact}
        replayed: set[tuple[str, int]] = set(self._empty)
        for index, worker in enumerate(users):
            shards = {stage.prompt_set: (stage.prompt_set, self._shard_of[worker]) for stage in stages}
            lanes = [LaneShare(stage.stage, stage.endpoint, stage.prompt_set, stage.load.kind, stage.ramp_start_ns,
                               since_ns, index, len(users), slots, ramp_s, dict(asked_of(stage, self._run.seed)),
                               replays=shards[stage.prompt_set] not in replayed,
                               exact=parts[stage.stage][index].to_json() if stage.exact else None)
                     for stage, slots, ramp_s in zip(stages, dealt[worker], ramps_s, strict=True)]
            replayed.update(shards.values())
            registry.send(Step(step, lanes, registry.offset_ns(worker)), worker)
        for stage in {stage.prompt_set: stage for stage in stages if stage.load.kind == "trace"}.values():
            self._give_orphans(registry, stage, list(users), replayed, since_ns)

    def _parts(self, stage: Stage, slots: list[int]) -> list[exact.Part]:
        """What each worker sends of a stage of exactly so many requests."""
        specs = {spec.name: spec for spec in self._run.endpoints}
        key = deal_key(specs[stage.endpoint], stage.prompt_set)
        sharing = [one for one in self._stages if deal_key(specs[one.endpoint], one.prompt_set) == key]
        begin, requests = exact.begins_at(stage, sharing), stage.requests or 0
        if not stage.slots:
            return exact.of_arrivals(requests, begin, len(slots))
        prompts = store.of_endpoint(self._sets[stage.prompt_set], specs[stage.endpoint])
        return exact.of_users(requests, begin, slots, prompts)

    def _give_orphans(self, registry: WorkerRegistry, stage: Stage, workers: list[str], replayed: set[tuple[str, int]],
                      since_ns: int) -> None:
        """The rows of a trace that no living worker has in its shard and that are still to come, to all of them."""
        rows = [prompt for number, shard in enumerate(self._shards) if (stage.prompt_set, number) not in replayed
                for prompt in shard[stage.prompt_set]]
        since_s = (since_ns - stage.ramp_start_ns) / 1e9
        to_come = [prompt for due_s, prompt in replay.due(rows, stage.load.value) if due_s >= since_s]
        for place, worker in enumerate(workers):
            for batch in _batches(to_come[place::len(workers)]):
                registry.send(Adopt(stage.prompt_set, batch), worker)

    def arrivals(self, stage: Stage) -> Iterator[float | None]:
        """When requests of a stage with a rate are due, in seconds from its start, over all workers; None in the place
        of arrivals of other components of its mix."""
        return arrivals.of_stage(asked_of(stage, self._run.seed))


def _batches(prompts: list[Prompt]) -> Iterator[bytes]:
    batch: list[dict[str, Any]] = []
    size = 0
    for prompt in prompts:
        plain = asdict(prompt)
        length = len(msgpack.packb(plain))
        if batch and size + length > PROMPT_BATCH_BYTES:
            yield msgpack.packb(batch)
            batch, size = [], 0
        batch.append(plain)
        size += length
    if batch:
        yield msgpack.packb(batch)
