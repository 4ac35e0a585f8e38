"""Step: one part of a session's graph, as it was drawn before the load: a request, a tool at work, or a pause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from fmload.model.prompt import Prompt

StepKind = Literal["request", "tool", "think"]

SERVED = "served"  # in a message: the step whose answer stands in its place, where answers are served
_CHARACTERS_A_TOKEN = 4
_LONGER = 16  # a pause before another attempt grows no further after so many
STEP_OF = ":"  # between a session's prompt id and the id of the step: `agents-000003:plan`


@dataclass(slots=True)
class Step:
    """One step. It begins `delay_s` (the client's own time) after the last of `after` has ended.

    A tool or pause takes `seconds`; failed calls of a tool that is called again are in it. A request goes on with the
    chat of the request `chat` (None: it begins one) by `messages`; one with the key `served` says what that step was
    answered, one with the role `tool` is a tool's result. `answer` (a text, or the whole message) is what later steps
    repeat where answers are not served. `input_tokens` is known where it begins a chat. It is asked again up to
    `retries` times, each time `retry_after_s` later than the time before doubled; with `optional` the session goes on
    without its answer. `turn` counts the requests before it on its way.
    """

    id: str
    kind: StepKind
    after: list[str] = field(default_factory=list)
    name: str = ""
    agent: str = ""
    seconds: float = 0.0
    delay_s: float = 0.0
    chat: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    answer: str | dict[str, Any] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    exact_output: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    retries: int = 0
    retry_after_s: float = 0.0
    optional: bool = False
    turn: int = 0


_ABSENT = Step("", "request")
_FIELDS = tuple(one.name for one in fields(Step))


def retry_pause_s(first_s: float, attempt: int) -> float:
    """The pause after a failed attempt (the first is 0): each twice the one before, up to the sixteenth."""
    return first_s * 2.0**min(attempt, _LONGER)


def to_plain(step: Step) -> dict[str, Any]:
    """The step as a prompt carries it, without what is as it is in any step."""
    return {name: value for name, value in asdict(step).items()
            if name in ("id", "kind") or value != getattr(_ABSENT, name)}


def steps_of(prompt: Prompt) -> list[Step]:
    """The steps of a session, in an order in which each comes after those that it waits for."""
    return [Step(**values) for values in prompt.steps]


def session_of(prompt_id: str) -> str:
    """The prompt of which a record's prompt is a step; itself for one that is none."""
    return prompt_id.partition(STEP_OF)[0]


def with_turns(steps: Iterable[Step]) -> list[Step]:
    """The steps with their turns: how many requests lie before each on the longest way to it."""
    after: dict[str, int] = {}  # requests up to the end of each step
    numbered = list(steps)
    for step in numbered:
        step.turn = max((after[before] for before in step.after), default=0)
        after[step.id] = step.turn + (step.kind == "request")
    return numbered


def tokens_of(prompt: Prompt) -> list[tuple[int, int | None]]:
    """Tokens of each request of a session, as far as they are known before it: its prompt, with what was said before
    (four characters a token where nobody has counted), and the answer that it asks for."""
    said: dict[str, int] = {}
    found: list[tuple[int, int | None]] = []
    for step in steps_of(prompt):
        if step.kind == "request":
            new = sum(len(str(message.get("content") or "")) for message in step.messages) // _CHARACTERS_A_TOKEN
            tokens = step.input_tokens or said.get(step.chat or "", 0) + new
            said[step.id] = tokens + (step.output_tokens or 0)
            found.append((tokens, step.output_tokens))
    return found


def session_prompt(steps: Iterable[Step], served: bool, **known: Any) -> Prompt:
    """The prompt of a session: its first request, with all that follows. `known`: further fields of the prompt. Raises
    ValueError for a session without a request."""
    numbered = with_turns(steps)
    first = next((step for step in numbered if step.kind == "request"), None)
    if first is None:
        raise ValueError("a session without a request")
    messages = [{key: value for key, value in message.items() if key != SERVED} for message in first.messages]
    values: dict[str, Any] = {
        "id": "", "prompt_set": "", "messages": messages, "input_tokens": first.input_tokens,
        "output_tokens": first.output_tokens, "exact_output": first.exact_output, "parameters": first.parameters,
        "served": served, "steps": [to_plain(step) for step in numbered]}
    return Prompt(**{**values, **known})
