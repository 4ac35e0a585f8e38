"""Recorded sessions: the form of a file is told by its content, and each session is replayed as the graph it was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import Field

from fmload.base.errors import Faults, FmloadError
from fmload.config import limits
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.model.step import session_prompt
from fmload.plugins import SESSION_TRACES
from fmload.prompts import files
from fmload.prompts.mooncake import Mooncake
from fmload.prompts.tokenizer import Tokenizer
from fmload.prompts.trace import Arrival, Trace, TraceOptions
from fmload.prompts.trace import Item as ArrivalItem
from fmload.prompts.traced import Texts, TracedGraph, TracedSession, TracedStep


class Item(NamedTuple):
    """A session, when it begins after the first one that is replayed, and the seed of its texts."""

    offset_s: float
    session: TracedSession
    seed: str


class AgentTrace(Trace):
    """One prompt a session, in order of their beginnings. `load.trace` begins each when it began."""

    sessions = True  # users and arrivals are sessions

    class Options(TraceOptions):
        """Keys of `source: agent_trace`."""

        answers: Literal["served", "recorded"] = Field(
            "served", description="what later steps repeat: the server's answers, or those of the trace (texts made up "
                                  "of their lengths, where it has no texts)")
        delay_factor: float = Field(1.0, ge=0, le=limits.FACTOR, description=(
            "recorded tools, pauses and thinking take so many times as long; 0: none"))
        block_tokens: int = Field(512, ge=1, le=limits.TOKENS, description="of mooncake: tokens of one of hash_ids")

    def __init__(self, spec: PromptSpec) -> None:
        super().__init__(spec)
        self._exact = spec.exact_output
        # Of a trace with blocks: the first request of a session has their texts, so that sessions begin alike.
        blocks = PromptSpec.model_validate({"name": spec.name, "source": "mooncake", "files": self.options.files,
                                            "block_tokens": self.options.block_tokens})
        self._blocks = Mooncake(blocks)

    def items(self, seed: str) -> Iterator[Item]:  # type: ignore[override]
        """The sessions that begin in the part that is asked for, in their order."""
        found = sorted(self._sessions, key=lambda session: session.at_s)
        if not found:
            raise FmloadError(f"prompt set '{self.name}': no session in {', '.join(self.names())}",
                              hint="docs/agents.md says what a trace of sessions is")
        begin_s = found[0].at_s + self.start_s
        end_s = begin_s + (self.duration_s or math.inf)
        kept = [session for session in found if begin_s <= session.at_s < end_s]
        return iter([Item(session.at_s - begin_s, session, f"{seed}/{index}") for index, session in enumerate(kept)])

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:  # type: ignore[override]
        texts = Texts(tokenizer, item.seed, head, self.options.max_input_tokens, self.options.max_output_tokens,
                      self._text_of_blocks(item, tokenizer) if item.session.steps[0].blocks else None)
        try:
            steps = TracedGraph(item.session, texts, self.options.delay_factor, self._exact).build()
        except (KeyError, ValueError) as error:
            raise FmloadError(f"{item.session.where}: session '{item.session.name}': {error}",
                              hint="docs/agents.md says what each row has") from error
        return [session_prompt(steps, self.options.answers == "served", prompt_set=self.name,
                               offset_s=round(item.offset_s, 6))]

    def _text_of_blocks(self, item: Item, tokenizer: Tokenizer) -> Any:
        def text(step: TracedStep, tokens: int) -> str:
            arrival = Arrival(0.0, tokens, None, step.blocks)
            return self._blocks.text(ArrivalItem(0.0, arrival, item.seed), tokens, tokenizer, "")

        return text

    @cached_property
    def _sessions(self) -> list[TracedSession]:
        """All sessions of all files. Raises FmloadError with every file that has none of a known form."""
        faults = Faults()
        found: list[TracedSession] = []
        for file in self._found:
            with faults.kept():
                found += _of_file(file)
        faults.check()
        return found


def _of_file(file: files.Found) -> Sequence[TracedSession]:
    """The sessions of one file, by the form that its first row has."""
    rows = _rows(file)
    forms = map(SESSION_TRACES.load, SESSION_TRACES)
    form = next((form for form in forms if form.recognises(rows[0].values)), None)
    if form is None:
        known = ", ".join(SESSION_TRACES)
        raise FmloadError(f"{rows[0].where}: no trace of sessions in a form that is known ({known})",
                          hint="docs/agents.md describes them; its keys are " + ", ".join(sorted(rows[0].values)[:8]))
    try:
        sessions: Sequence[TracedSession] = form.sessions(rows)
    except KeyError as error:
        raise FmloadError(f"{file.name}: a row has no {error}", hint="docs/agents.md says what each has") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise FmloadError(f"{file.name}: not a trace that can be read: {error}",
                          hint="docs/agents.md says what each row has") from error
    return [session for session in sessions if any(step.kind == "request" for step in session.steps)]


def _rows(file: files.Found) -> list[files.Row]:
    """The rows of a file; one JSON object is one. Raises FmloadError where there is none."""
    content = files.content(file)
    if file.suffix == ".json" and content.lstrip()[:1] == b"{":
        try:
            return [files.Row(orjson.loads(content), file.name, str(file.path.parent))]
        except ValueError as error:
            raise FmloadError(f"{file.name}: not JSON: {error}", hint="is the file whole?") from error
    faults = Faults()
    rows = list(files.rows([file], faults))
    faults.check()
    if not rows:
        raise FmloadError(f"{file.name}: holds no row", hint="write it again, or leave it out")
    return rows
