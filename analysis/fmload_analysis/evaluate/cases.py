"""What is evaluated: the kept answers of requests that ended well, each with its prompt and its ground truth."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt
from fmload.prompts import formats, store
from fmload.results.folder import Results
from fmload_analysis.stage.evidence import LENGTH_REASONS

References = Mapping[tuple[str, str], tuple[str, ...]]  # by prompt set and prompt id


@dataclass(frozen=True, slots=True)
class Case:
    """One endpoint's answer to one prompt. `references` is empty where no ground truth is known.

    `question` is the prompt's text: prompts of different ids with the same text are the same question. `cut`: of
    its text, reasoning or calls of tools not all was kept; `whole`: all of its text was. `cut_off`: the endpoint ended
    it at the limit of tokens.
    """

    endpoint: str
    prompt_set: str
    prompt_id: str
    stage: int
    question: str
    answer: str
    references: tuple[str, ...] = ()
    cut: bool = False
    whole: bool = True
    cut_off: bool = False


def load_cases(results: Results, references: Path | None = None, limit: int | None = None) -> list[Case]:
    """The answers of a results folder, in order of stage, at most `limit` prompts of each prompt set.

    `references` is a JSONL file of ground truths that go before the prompts' own. With a limit, the prompts that most
    endpoints answered come first. Raises FmloadError when no answers were kept.
    """
    if not results.answers_parquet.exists():
        raise FmloadError(f"{results.root} holds no answers",
                          hint="put 'keep_answers: true' into the run file and run again")
    prompts = {(path.stem, prompt.id): prompt for path in results.prompts.glob("*.jsonl")
               for prompt in store.read(path)}
    truths = dict(_own(prompts)) | (_given(references, prompts) if references else {})
    ended_well = _ended_well(results)
    rows = pq.read_table(results.answers_parquet).to_pylist()
    cases = [_case(row, prompts[row["prompt_set"], row["prompt_id"]], truths, ended_well) for row in rows
             if row["request_id"] in ended_well and (row["prompt_set"], row["prompt_id"]) in prompts]
    return _limited(sorted(cases, key=lambda case: (case.stage, case.prompt_id)), limit)


def _given(path: Path, prompts: Mapping[tuple[str, str], Prompt]) -> dict[tuple[str, str], tuple[str, ...]]:
    given = dict(read_references(path))
    if not given.keys() & prompts.keys():
        known = next(iter(prompts), ("?", "?"))
        raise FmloadError(f"{path} holds no ground truth for any prompt of this run",
                          hint=f"its first prompt is {known[1]} of the set {known[0]}")
    return given


def _own(prompts: Mapping[tuple[str, str], Prompt]) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    return ((key, (prompt.reference,)) for key, prompt in prompts.items() if prompt.reference is not None)


def read_references(path: Path) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """Ground truths by prompt: lines of `{"prompt_set", "prompt_id", "reference"}`, the last one text or several.

    Raises FmloadError naming the line that is none, or is not UTF-8.
    """
    try:
        lines = formats.text(path.read_bytes(), str(path)).split("\n")  # a text may hold U+2028
    except OSError as error:
        raise FmloadError(f"{path}: {error.strerror or error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _truth(line, f"{path}:{number}")


def _truth(line: str, where: str) -> tuple[tuple[str, str], tuple[str, ...]]:
    try:
        entry = json.loads(line)
        reference = entry["reference"]
        several = (reference,) if isinstance(reference, str) else tuple(reference)
        if all(isinstance(text, str) for text in (entry["prompt_set"], entry["prompt_id"], *several)):
            return (entry["prompt_set"], entry["prompt_id"]), several
    except (ValueError, TypeError, KeyError) as error:
        raise FmloadError(f"{where}: not a ground truth ({type(error).__name__}: {error})", hint=_FORM) from error
    raise FmloadError(f"{where}: not a ground truth: prompt_set, prompt_id and reference must be text", hint=_FORM)


_FORM = 'one line a prompt: {"prompt_set": "qa", "prompt_id": "qa-000001", "reference": "Paris"}'


def _ended_well(results: Results) -> dict[str, str | None]:
    """The finish reasons of the requests that did."""
    found: dict[str, str | None] = {}
    for path in results.records.glob("*.parquet"):
        for batch in pq.ParquetFile(path).iter_batches(columns=["request_id", "outcome", "finish_reason"]):
            found |= {row["request_id"]: row["finish_reason"] for row in batch.to_pylist() if row["outcome"] == "ok"}
    return found


def _case(row: Mapping[str, Any], prompt: Prompt, truths: References, reasons: Mapping[str, str | None]) -> Case:
    key = (row["prompt_set"], row["prompt_id"])
    return Case(row["endpoint"], *key, row["stage"], prompt.as_text(), row["text"], truths.get(key, ()), row["cut"],
                not row["cut"] or _is_whole(row), (reasons[row["request_id"]] or "").lower() in LENGTH_REASONS)


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Whether the text of a cut answer was kept whole: of text, reasoning and calls those that were cut are as long as
    the limit, give or take three bytes of a character, so a text that is shorter was not."""
    text, *others = (len((row.get(name) or "").encode()) for name in ("text", "reasoning", "tools"))
    return text < max(others) - 3


def _limited(cases: list[Case], limit: int | None) -> list[Case]:
    if limit is None:
        return cases
    endpoints: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in cases:
        endpoints[case.prompt_set, case.question].add(case.endpoint)
    kept: dict[str, set[str]] = defaultdict(set)
    for prompt_set, question in sorted(endpoints, key=lambda key: -len(endpoints[key])):  # stable: else as they came
        if len(kept[prompt_set]) < limit:
            kept[prompt_set].add(question)
    return [case for case in cases if case.question in kept[case.prompt_set]]


def by_endpoint(cases: Iterable[Case]) -> dict[tuple[str, str], list[Case]]:
    """The cases of each endpoint and prompt set."""
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.endpoint, case.prompt_set].append(case)
    return groups


def one_each(cases: Iterable[Case]) -> list[Case]:
    """Of each endpoint's answers to a question the first: what the judges see.

    Question by question, the prompt sets in turn: judges that stop early have seen all endpoints and sets alike.
    """
    first: dict[tuple[str, str, str], Case] = {}
    places: dict[str, dict[str, int]] = defaultdict(dict)  # of the questions in their prompt set
    for case in cases:
        first.setdefault((case.endpoint, case.prompt_set, case.question), case)
        questions = places[case.prompt_set]
        questions.setdefault(case.question, len(questions))
    return sorted(first.values(), key=lambda case: places[case.prompt_set][case.question])
