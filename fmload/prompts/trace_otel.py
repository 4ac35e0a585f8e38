"""OpenTelemetry's GenAI spans, as OTLP JSON: one export a file, or one a line, as the collector's file exporter writes.

A session is a `gen_ai.conversation.id`, else a trace. Requests are the innermost spans of `chat`, `text_completion`
and `generate_content`; tools those of `execute_tool` (and `embeddings`) with no request in them. All others, such as
`invoke_agent`, are what steps lie in. Spans that ended in an error are left out: their time is a pause.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from fmload.config import limits
from fmload.model.step import StepKind
from fmload.prompts.files import Row
from fmload.prompts.traced import Around, TracedSession, TracedStep

_REQUESTS = ("chat", "text_completion", "generate_content")
_TOOLS = ("execute_tool", "embeddings", "retrieval")
_ERROR = (2, "STATUS_CODE_ERROR")


@dataclass(slots=True)
class _Span:
    trace: str
    id: str
    parent: str
    name: str
    begin_s: float
    end_s: float
    failed: bool
    says: dict[str, Any]
    where: str
    children: list[_Span] = field(default_factory=list)

    @property
    def conversation(self) -> str | None:
        named = self.says.get("gen_ai.conversation.id")
        return str(named) if named else None

    @property
    def operation(self) -> str:
        return str(self.says.get("gen_ai.operation.name", ""))


def recognises(values: Mapping[str, Any]) -> bool:
    """Whether the first row is an export of spans."""
    return isinstance(values.get("resourceSpans"), list)


def sessions(rows: Sequence[Row]) -> list[TracedSession]:
    """The sessions of a file, in order of their beginning."""
    by_id: dict[tuple[str, str], _Span] = {}  # exporters deliver at least once: the first of each counts
    for span in (span for row in rows for span in _spans(row)):
        by_id.setdefault((span.trace, span.id), span)
    spans = list(by_id.values())
    roots: list[_Span] = []
    for span in spans:
        parent = by_id.get((span.trace, span.parent))
        (parent.children if parent is not None else roots).append(span)
    conversations = _conversations(spans)
    steps: defaultdict[str, list[TracedStep]] = defaultdict(list)
    places: dict[str, str] = {}
    for root in roots:
        for named, step in _steps(root, (), "", None):
            session = named or conversations.get(root.trace, root.trace)
            places.setdefault(session, root.where)
            steps[session].append(step)
    return [TracedSession(name, places[name], found) for name, found in steps.items()]


def _conversations(spans: Sequence[_Span]) -> dict[str, str]:
    """The conversation of each trace that names one, for its spans in which and around which none is named."""
    return {span.trace: span.conversation for span in spans if span.conversation}


def _spans(row: Row) -> Iterator[_Span]:
    for resource in row.values.get("resourceSpans") or ():
        for scope in resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans") or ():
            for span in scope.get("spans") or ():
                yield _Span(str(span["traceId"]), str(span["spanId"]), str(span.get("parentSpanId") or ""),
                            str(span.get("name", "")), _instant_s(span, "startTimeUnixNano", row.where),
                            _instant_s(span, "endTimeUnixNano", row.where),
                            (span.get("status") or {}).get("code") in _ERROR,
                            {one["key"]: _value(one.get("value") or {}) for one in span.get("attributes") or ()},
                            row.where)


def _instant_s(span: Mapping[str, Any], key: str, where: str) -> float:
    """An instant of a span, in seconds. Raises ValueError with the span for what is none."""
    try:
        return int(span[key]) / 1e9
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: span {span['spanId']}: {key} is {span.get(key)!r}; it must be a number of "
                         "nanoseconds") from error


def _value(value: Mapping[str, Any]) -> Any:
    """An attribute's value, out of OTLP's wrapping."""
    if "arrayValue" in value:
        return [_value(one) for one in value["arrayValue"].get("values") or ()]
    if "kvlistValue" in value:
        return {one["key"]: _value(one.get("value") or {}) for one in value["kvlistValue"].get("values") or ()}
    if "intValue" in value:
        return int(value["intValue"])
    return next(iter(value.values()), None)


def _steps(span: _Span, around: tuple[Around, ...], agent: str,
           conversation: str | None) -> Iterator[tuple[str | None, TracedStep]]:
    """The steps in a span, each with the conversation that it names, or what it lies in. One with a request in it is
    what that lies in."""
    conversation = span.conversation or conversation
    agent = str(span.says.get("gen_ai.agent.name") or agent)
    own = (*around, (span.id, span.begin_s, span.end_s))
    inner = any(_holds_request(child) for child in span.children)
    if not inner and not span.failed and (kind := _kind(span.operation)) is not None:
        yield conversation, _step(span, kind, own, agent)
    else:
        for child in span.children:
            yield from _steps(child, own, agent, conversation)


def _holds_request(span: _Span) -> bool:
    return span.operation in _REQUESTS or any(map(_holds_request, span.children))


def _kind(operation: str) -> StepKind | None:
    return "request" if operation in _REQUESTS else "tool" if operation in _TOOLS else None


def _step(span: _Span, kind: StepKind, around: tuple[Around, ...], agent: str) -> TracedStep:
    name = str(span.says.get("gen_ai.tool.name") or span.name)
    step = TracedStep(span.id, kind, span.begin_s, span.end_s, name, agent, around)
    if kind == "request":
        step.name = agent or span.operation
        step.messages, step.answer = _said(span.says)
        step.input_tokens = _count(span.says, "input", "prompt")
        step.output_tokens = _count(span.says, "output", "completion")
        if max(step.input_tokens or 0, step.output_tokens or 0) > limits.TOKENS:
            raise ValueError(f"{span.where}: span {span.id} ({span.name}): more than {limits.TOKENS:,} tokens")
        if step.messages is None and step.input_tokens is None:
            raise ValueError(f"{span.where}: span {span.id} ({span.name}): has neither gen_ai.input.messages nor "
                             "gen_ai.usage.input_tokens")
    return step


def _count(says: Mapping[str, Any], name: str, before: str) -> int | None:
    """A count by its name now, or by that of versions before 1.27."""
    for key in (f"gen_ai.usage.{name}_tokens", f"gen_ai.usage.{before}_tokens"):
        if isinstance(says.get(key), int):
            return int(says[key])
    return None


def _said(says: Mapping[str, Any]) -> tuple[list[dict[str, Any]] | None, dict[str, Any] | None]:
    """The messages that were sent, in OpenAI's form, and the answer; None where their content was not recorded."""
    asked = _json(says.get("gen_ai.input.messages"))
    if not isinstance(asked, list) or not asked:
        return None, None
    system = _json(says.get("gen_ai.system_instructions"))
    opening = [{"role": "system", "content": _text(system)}] if isinstance(system, list) and system else []
    names: dict[str, str] = {}
    messages = [*opening, *(one for message in asked for one in _messages(message, names))]
    answered = _json(says.get("gen_ai.output.messages"))
    answer = next(iter(_messages(answered[0], names)), None) if isinstance(answered, list) and answered else None
    return messages, answer


def _json(value: Any) -> Any:
    """A value that may be JSON in a text."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return None


def _messages(message: Mapping[str, Any], names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """One recorded message as messages of a chat: results of tools are one each. `names`: of calls by their id."""
    parts = message.get("parts") or [{"type": "text", "content": message.get("content") or ""}]
    for part in parts:
        if part.get("type") == "tool_call_response":
            identity, result = str(part.get("id") or ""), part.get("response", part.get("result"))
            yield {"role": "tool", "tool_call_id": identity, "name": names.get(identity, "tool"),
                   "content": result if isinstance(result, str) else orjson.dumps(result).decode()}
    calls = [_call(part, names) for part in parts if part.get("type") == "tool_call"]
    text = _text(parts)
    if text or calls or not any(part.get("type") == "tool_call_response" for part in parts):
        yield {"role": str(message.get("role", "user")), "content": text, **({"tool_calls": calls} if calls else {})}


def _call(part: Mapping[str, Any], names: dict[str, str]) -> dict[str, Any]:
    identity, name = str(part.get("id") or part.get("name")), str(part.get("name") or "tool")
    names[identity] = name
    arguments = part.get("arguments")
    return {"id": identity, "type": "function", "function": {
        "name": name, "arguments": arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()}}


def _text(parts: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(str(part.get("content") or "") for part in parts if part.get("type") == "text")
