"""The one setting that the search should try next: what the winner was short of, moved by a key that varies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmload.model.stack import Candidate, StackSearch
from fmload_analysis.stacks.ranking import Ranked, ranking, untried

# By what limited: parts of the names of settings that move it, and by how much a number is changed.
_MOVES: Mapping[str, Sequence[tuple[str, float]]] = {
    "batch size": (("num_seqs", 2), ("sequences", 2), ("batch_size", 2), ("running_requests", 2), ("parallel", 2),
                   ("slots", 2), ("seqs", 2)),
    "queue": (("batched_tokens", 2), ("prefill_size", 2), ("batch_tokens", 2), ("ubatch", 2)),
    "KV cache": (("kv_blocks", 2), ("max_model_len", 0.5), ("num_seqs", 0.5), ("sequences", 0.5), ("seqs", 0.5)),
    "memory bandwidth": (("tensor_parallel", 2),),
    "accelerator": (("copies", 2), ("tensor_parallel", 2)),
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`value` of `key` in the place of the winner's. `candidate`: the one of the search that has it, and was not
    tried yet; None where the search holds no such value, so that it goes into `vary`."""

    key: str
    value: str
    before: str
    limit: str
    candidate: str | None


def suggestion(search: StackSearch) -> Suggestion | None:
    """None where nothing is known of the winner's limit, no key that varies moves it, or all that does was tried."""
    best = next(iter(ranking(search)), None)
    if best is None:
        return None
    for part, factor in _MOVES.get(best.trial.facts.get("limit", ""), ()):
        for key, before in best.candidate.settings.items():
            if part in key.rpartition(".")[2] and _is_number(before):
                return _moved(search, best, key, factor)
    return None


def _moved(search: StackSearch, best: Ranked, key: str, factor: float) -> Suggestion | None:
    """The nearest value beyond the winner's that was not tried with its other settings; else one further."""
    before = float(best.candidate.settings[key])
    beyond = sorted((one for one in search.candidates if _differs_in(one, best.candidate, key)
                     and (float(one.settings[key]) > before) == (factor > 1)),
                    key=lambda one: abs(float(one.settings[key]) - before))
    limit = best.trial.facts["limit"]
    if not beyond:
        return Suggestion(key, f"{before * factor:g}", best.candidate.settings[key], limit, None)
    waiting = {one.name for one in untried(search)}
    nearest = next((one for one in beyond if one.name in waiting), None)
    return None if nearest is None else Suggestion(key, nearest.settings[key], best.candidate.settings[key], limit,
                                                   nearest.name)


def _differs_in(one: Candidate, other: Candidate, key: str) -> bool:
    """Whether it is the same but for one key, of which it has another number."""
    return (one.base == other.base and _is_number(one.settings.get(key, "")) and one.settings != other.settings
            and all(value == other.settings.get(name) for name, value in one.settings.items() if name != key))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
