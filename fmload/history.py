"""What earlier sessions of a run have sent, so that one that is resumed goes on with other prompts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmload import answers, journal
from fmload.prompt import Prompt
from fmload.record import unpack
from fmload.results import Results


@dataclass(frozen=True, slots=True)
class History:
    """`sent`: ids of the prompts that each endpoint was sent. `in_flight`: the most requests of one worker at a time,
    of which a kill leaves no record."""

    sent: Mapping[str, frozenset[str]]
    in_flight: int = 0

    def goes_on(self, endpoint: str, prompts: Sequence[Prompt]) -> int:
        """The place in a shard at which an endpoint goes on: after all that was sent, and after what may have been in
        flight, as long as that leaves any; 0 when nothing was sent, or all."""
        sent = self.sent.get(endpoint, frozenset())
        after = max((place for place, prompt in enumerate(prompts, 1) if prompt.id in sent), default=0)
        if after and after + self.in_flight < len(prompts):
            return after + self.in_flight
        return after % max(1, len(prompts))


def history_of(results: Results) -> History:
    """What the journals of the folder tell; nothing of a run that begins."""
    sent: defaultdict[str, set[str]] = defaultdict(set)
    for path in results.journal.glob("*.log"):
        for packed in journal.read(path):
            if not answers.is_answer(packed):
                record = unpack(packed)
                sent[record.endpoint].add(record.prompt_id)
    return History({endpoint: frozenset(prompts) for endpoint, prompts in sent.items()},
                   max(_in_flight(results.health_jsonl), default=0))


def _in_flight(path: Path) -> Iterator[int]:
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(line)["in_flight"]
        except ValueError:
            return  # a torn last line after a crash
