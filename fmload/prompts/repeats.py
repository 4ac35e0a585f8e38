"""What is to be known before a load of prompts that a server will have been sent already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fmload.config.schema import RunFile
from fmload.model.stage import Stage
from fmload.prompts import store
from fmload.prompts.earlier_runs import sent_before
from fmload.prompts.shortage import shortages
from fmload.results.folder import Results


def repeats(run: RunFile, stages: Sequence[Stage], results: Results) -> Iterator[str]:
    """A sentence for every prepared set that is too small for the plan, and for every one that an earlier run sent.

    None of a scenario, whose prompts are not known before.
    """
    if all(spec.scripted for spec in run.prompts):
        return
    sets = {spec.name: store.read(results.prompts / f"{spec.name}.jsonl") for spec in run.prompts}
    yield from shortages(run, stages, sets)
    yield from sent_before(run, results)
