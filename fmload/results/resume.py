"""What earlier sessions of a run have sent, so that one that is resumed goes on with other prompts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fmload.results import answers, journal, stage_file
from fmload.model.prompt import Prompt
from fmload.model.record import unpack
from fmload.model.step import session_of
from fmload.base.resources import read_json_lines
from fmload.results.folder import Results


@dataclass(frozen=True, slots=True)
class History:
    """`sent`: ids of the prompts, or sessions, of which each endpoint, by name, was sent something. `in_flight`: the
    most requests at a time in the stages that were interrupted, of which a kill leaves no record."""

    sent: Mapping[str, frozenset[str]]
    in_flight: int = 0

    def goes_on(self, endpoints: Iterable[str], prompts: Sequence[Prompt], workers: int) -> int:
        """The place in the shard of one of `workers` at which the endpoints of one server go on: after all that was
        sent, and after what may have been in flight, as long as that leaves any; 0 when nothing was sent, or all."""
        sent = frozenset[str]().union(*(self.sent.get(endpoint, ()) for endpoint in endpoints))
        after = max((place for place, prompt in enumerate(prompts, 1) if prompt.id in sent), default=0)
        doubtful = math.ceil(self.in_flight / workers)
        if after and after + doubtful < len(prompts):
            return after + doubtful
        return after % max(1, len(prompts))


def history_of(results: Results) -> History:
    """What the files of the folder tell; nothing of a run that begins."""
    sent: defaultdict[str, set[str]] = defaultdict(set)
    for path in results.journal.glob("*.log"):
        for packed in journal.read(path):
            if not answers.is_answer(packed):
                record = unpack(packed)
                sent[record.endpoint].add(session_of(record.prompt_id))
    return History({endpoint: frozenset(prompts) for endpoint, prompts in sent.items()}, _in_flight(results))


def _in_flight(results: Results) -> int:
    """The busiest worker's most, times the workers: their prompts lie side by side in the set."""
    stages = stage_file.read(results).stages if stage_file.exists(results) else []
    workers = {worker for stage in stages if stage.status in ("interrupted", "superseded") for worker in stage.workers}
    return len(workers) * max((sample["in_flight"] for sample in read_json_lines(results.health_jsonl)
                               if sample.get("worker") in workers and isinstance(sample.get("in_flight"), int)), default=0)
