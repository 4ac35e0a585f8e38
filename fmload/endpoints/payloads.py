"""SageMaker payloads: the body that each kind of container takes, and the lines in which it answers.

What a line says is told from its keys, so that one reader serves every container, whatever the request's format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

from fmload.endpoints.answer import Answer
from fmload.endpoints.characters import Mender
from fmload.endpoints.failures import error_text
from fmload.endpoints.lenient_json import loads
from fmload.endpoints.openai_answer import COMPLAINTS, OpenAIAnswer
from fmload.endpoints.streams import PINGS
from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk

PayloadFormat = Literal["openai", "tgi", "djl", "jumpstart", "template"]
Parameters = dict[str, Any]
Body = dict[str, Any]

# What makes an answer exactly as long as asked. vLLM, SGLang, TensorRT-LLM and LMI take both of `openai`; llama.cpp
# the first. `min_tokens` is there because `ignore_eos` passes over one end mark, and some models have several.
EXACT_OUTPUT: Mapping[PayloadFormat, Mapping[str, Any]] = {
    "openai": {"ignore_eos": True, "min_tokens": "$max_tokens"},
    "djl": {"ignore_eos_token": True, "min_tokens": "$max_tokens"},
    "jumpstart": {"min_new_tokens": "$max_tokens"},
    "tgi": {},  # has no such parameter
    "template": {},
}

# Keys of messages in OpenAI's form, errors among them.
_OPENAI = frozenset({"choices", "usage", "error", "detail", "errors", "base_resp", *COMPLAINTS})
_PING_TEXTS = frozenset(name.encode() for name in PINGS)
_NOT_THERE = (TypeError, KeyError, IndexError, ValueError)
_RAW = ["$"]  # the answer path of containers that send bare text
_NO_TOKEN = -1  # the id that DJL writes into a line which reports an error


def request_body(payload_format: PayloadFormat, prompt: Prompt, parameters: Mapping[str, Any], stream: bool,
                 template: Any = None, exact: Mapping[str, Any] | None = None) -> bytes:
    """The JSON that the container is sent. The prompt's own parameters and length override `parameters`.

    `exact` is what asks for an exact length; None: what the format is known to take.
    """
    exact = EXACT_OUTPUT[payload_format] if exact is None else exact
    chosen = {**parameters, **prompt.parameters, **exact_output(exact, prompt)}
    if payload_format == "openai":
        body: Any = _openai_body(prompt, chosen, stream)
    elif payload_format == "template":
        body = filled(template, _placeholders(prompt, chosen, stream))
    else:
        body = inputs_body(prompt, chosen, stream, details=payload_format != "jumpstart")
    return orjson.dumps(body)


def exact_output(parameters: Mapping[str, Any], prompt: Prompt) -> Parameters:
    """The parameters that make the answer to this prompt exactly as long as it asks for; none when it does not."""
    return filled(dict(parameters), {"$max_tokens": prompt.output_tokens}) if prompt.exact_output else {}


def _openai_body(prompt: Prompt, parameters: Parameters, stream: bool) -> Body:
    """Without `model`: a container serves one, and refuses every name for it but its own."""
    asked: Body = {"messages": prompt.as_messages()}
    if prompt.output_tokens is not None:
        parameters["max_tokens"] = prompt.output_tokens
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**asked, **parameters}


def inputs_body(prompt: Prompt, parameters: Parameters, stream: bool, details: bool) -> Body:
    """TGI's, DJL's and JumpStart's common form; not all of JumpStart's containers know `details`."""
    if "max_tokens" in parameters:
        parameters.setdefault("max_new_tokens", parameters.pop("max_tokens"))
    if prompt.output_tokens is not None:
        parameters["max_new_tokens"] = prompt.output_tokens
    if details:
        parameters.setdefault("details", True)
    body: Body = {"inputs": prompt.as_text(), "parameters": parameters}
    return {**body, "stream": True} if stream else body


def _placeholders(prompt: Prompt, parameters: Parameters, stream: bool) -> Mapping[str, Any]:
    return {"$prompt": prompt.as_text(), "$messages": prompt.as_messages(), "$stream": stream,
            "$max_tokens": parameters.get("max_tokens") if prompt.output_tokens is None else prompt.output_tokens,
            "$parameters": parameters}


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with every string that is a placeholder replaced by its value, whatever the value's kind."""
    if isinstance(template, dict):
        return {key: filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    return values.get(template, template) if isinstance(template, str) else template


def read_known(answer: Answer, event: Mapping[str, Any], end: int) -> None:
    """Add one line, or a whole answer, of TGI, DJL or JumpStart. Raises one of MALFORMED for what is none of theirs."""
    for key, read in _FORMS.items():
        if key in event:
            read(answer, event, end)
            return
    raise KeyError("no form of answer that is known")


class PayloadReader:
    """Reads one answer: puts lines together from payload parts, which end anywhere, and reads each as one event.

    An event is complete at the part that completed its line. Lines may be server-sent events or bare JSON.
    `answer_path` leads to the text where no known form applies (`results.0.text`; `$`: the part is bare text).
    """

    def __init__(self, answer: Answer, answer_path: str | None = None) -> None:
        self._answer = answer
        self._path = answer_path.split(".") if answer_path else None
        self._rest: list[bytes] = []  # of a line that has not ended
        self._openai = OpenAIAnswer(answer.reading)
        self._event_name = ""  # of the server-sent event under way
        self._characters = Mender()

    def feed(self, part: bytes, end: int) -> None:
        """Take the next part; `end` is the offset in the response at which it was complete.

        Raises one of MALFORMED for what no known container sends.
        """
        if self._path == _RAW:
            self._plain(part, end)
            return
        first, *others = part.split(b"\n")
        self._rest.append(first)
        for following in others:
            self.last_line(end)
            self._rest.append(following)

    def last_line(self, end: int) -> None:
        """The last line, which need not end with a newline. Raises as `feed` does."""
        line = b"".join(self._rest).strip()
        self._rest.clear()
        self._line(line, end)

    def document(self, body: bytes) -> None:
        """A whole response that was not streamed. Raises as `feed` does."""
        if self._path == _RAW:
            self._plain(body, len(body))
        else:
            self._event(loads(body), len(body))

    def settle(self, body_bytes: int) -> None:
        """Counts and finish reason of an OpenAI answer, once all events are in."""
        if left := self._characters.end():
            self._answer.add(self._answer.read_to, left)
        self._openai.settle(body_bytes)
        self._answer.ended |= self._answer.reading.finish_reason is not None or self._openai.ended_by_mark

    def _line(self, line: bytes, end: int) -> None:
        told = line.startswith(b"data:")
        if told:
            line = line[5:].strip()
        elif line.startswith(b"\xef\xbb\xbf"):
            self._line(line[3:], end)
            return
        elif line.startswith(b"event:"):
            self._event_name = line[6:].strip().decode("utf-8", "replace")
            return
        elif line.startswith(b"error:"):
            line, self._event_name = line[6:].strip(), "error"
        elif line.startswith((b":", b"id:", b"retry:")):
            return
        elif not line:
            self._event_name = ""
            return
        if line == b"[DONE]":
            self._openai.done = True
        elif line and self._event_name not in PINGS:
            self._message(line, end, told)

    def _message(self, line: bytes, end: int, told: bool) -> None:
        """One message; `told`: it stood in a `data` field."""
        try:
            event = loads(line)
        except ValueError:
            if self._event_name == "error":
                self._answer.fail("stream_error", error_text(line.decode("utf-8", "replace")))
                return
            if line.lower() in _PING_TEXTS:
                return
            if told and line[:1] not in b"{[" and line.isascii():
                self._openai.complain(line.decode())
                return
            raise
        if self._event_name == "error":
            self._answer.fail("stream_error", error_text(event))
        elif isinstance(event, Mapping) and event.get("type") in PINGS:
            return
        elif event or self._path is not None:  # else a ping of its own kind
            self._event(event, end)

    def _event(self, event: Any, end: int) -> None:
        if self._path is not None:
            self._templated(event, self._path, end)
            return
        if isinstance(event, list):  # TGI and JumpStart wrap a whole answer in a list
            event = event[0]
        for key, read in _FORMS.items():
            if key in event:
                read(self._answer, event, end)
                return
        if not event.keys() & _OPENAI:
            raise ValueError("no form of answer that is known")
        self._openai.add(end, event)  # errors as well: all containers report them as OpenAI's servers do

    def _templated(self, event: Any, path: list[str], end: int) -> None:
        """A line whose text stands at the path of `answer_path`; one without it may tell of an error, or of counts."""
        try:
            text = follow(event, path)
        except _NOT_THERE:
            if not isinstance(event, Mapping) or not event.keys() & _OPENAI:
                raise
            self._openai.add(end, event)
            return
        self._answer.add(end, text if isinstance(text, str) else str(text))
        self._answer.ended = True  # such a stream has no end mark of its own: its HTTP end is its end
        if isinstance(event, Mapping) and event.get("usage"):
            self._answer.tell(event["usage"])

    def _plain(self, part: bytes, end: int) -> None:
        self._answer.add(end, self._characters.add(part.decode("utf-8", "surrogateescape")))
        self._answer.ended = True


def follow(event: Any, path: list[str]) -> Any:
    """What stands at a path, such as `results`, `0`, `text`. Raises one of MALFORMED when nothing does."""
    for step in path:
        event = event[int(step)] if isinstance(event, list) else event[step]
    return event


def _token_line(answer: Answer, event: Mapping[str, Any], end: int) -> None:
    """A line of TGI or of DJL's rolling batch; the last one repeats the whole text in `generated_text`."""
    tokens = event["token"]
    pieces = [token for token in ([tokens] if isinstance(tokens, dict) else tokens) if token.get("id") != _NO_TOKEN]
    if pieces:  # also those without text: half of a character, or the end-of-text token, which the counts include
        spoken = (token for token in pieces if not token.get("special") and not token.get("special_token"))
        text = "".join(token.get("text") or "" for token in spoken)
        answer.reading.chunks.append(Chunk(end, len(pieces), text=text))
    if event.get("generated_text") is not None:
        answer.ended = True
    _details(answer, event.get("details"))


def _details(answer: Answer, details: Mapping[str, Any] | None) -> None:
    if not details:
        return
    answer.usage(details.get("input_length") or len(details.get("prefill") or ()) or None,
                 details.get("generated_tokens"))
    answer.finish(details.get("finish_reason"))


def _whole(key: str) -> Callable[[Answer, Mapping[str, Any], int], None]:
    """A whole answer, or a line of a stream that has no end mark: text under `key`."""
    def read(answer: Answer, event: Mapping[str, Any], end: int) -> None:
        text = event[key]
        text = "".join(text) if isinstance(text, list) else text
        answer.add(end, text["content"] if isinstance(text, dict) else text)
        answer.ended = True
        _details(answer, event.get("details"))
    return read


_FORMS: Mapping[str, Callable[[Answer, Mapping[str, Any], int], None]] = {
    "token": _token_line,
    "generated_text": _whole("generated_text"),
    "generated_texts": _whole("generated_texts"),
    "generation": _whole("generation"),
    "outputs": _whole("outputs"),
}
