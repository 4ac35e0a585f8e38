"""Prompt: what is sent, and what is known of it before it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Carried(NamedTuple):
    """What a prompt holds that is no text: images, their pixels (None: not known), seconds of sound and video (None:
    there are none, or not known), and bytes of all, as files."""

    images: int
    pixels: int | None
    seconds: float | None
    bytes: int


@dataclass(slots=True)
class Prompt:
    """One prompt of a prompt set.

    `messages` is a chat (OpenAI's shape; content may be a string or a list of parts); `text` a plain completion
    prompt. Exactly one of them is given, unless there are `inputs`: the texts of one request for embeddings, or the
    documents to rank against the query `text`. `input_tokens` is counted by `tokenizer` (None: not counted).
    `output_tokens` is the length asked for (None: the endpoint's parameters decide), `exact_output` whether the
    server is asked for exactly that. `parameters` override the endpoint's for this prompt. `reference` is the ground
    truth, if the source has one. `offset_s` is the arrival time after the stage's start in a trace. Prompts of one
    `conversation` are sent in order of `turn`; with `served` their earlier answers are those that the server gives.
    `steps`: a whole session, as `model.step.Step` has them; the prompt itself is its first request.
    `audio`: the sound that is sent to be transcribed, as `model.audio.Audio` has it; the workers make its bytes.
    `media`: recipes of the images, sound and video that go with its text (`fmload.media.gallery`), of which the worker
    makes parts of a message before the load; `carried` is what they come to then: images, pixels, seconds, bytes.
    `goes_on_from` is the server's name for the answer before, and how many of `messages` it holds already.
    `tenant`: the one on whose behalf it is asked, by its name in the run file.
    """

    id: str
    prompt_set: str
    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    input_tokens: int | None = None
    tokenizer: str | None = None
    output_tokens: int | None = None
    exact_output: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    reference: str | None = None
    offset_s: float | None = None
    conversation: str | None = None
    turn: int = 0
    think_s: float = 0.0
    served: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)
    goes_on_from: tuple[str, int] | None = None
    inputs: list[str] | None = None
    audio: dict[str, Any] | None = None
    tenant: str | None = None
    media: list[dict[str, Any]] = field(default_factory=list)
    carried: Carried | None = None

    @property
    def texts(self) -> list[str]:
        """What a request for embeddings or a ranking is about: its `inputs`, else its one text."""
        return [self.as_text()] if self.inputs is None else self.inputs

    def as_messages(self) -> list[dict[str, Any]]:
        """The chat form: `messages`, or the text as one user message."""
        return self.messages if self.messages is not None else [{"role": "user", "content": self.as_text()}]

    def as_text(self) -> str:
        """The plain form: `text`, or the contents of the messages joined by blank lines."""
        if self.inputs is not None:
            return "\n\n".join([self.text, *self.inputs] if self.text is not None else self.inputs)
        if self.text is not None:
            return self.text
        return "\n\n".join(_content_text(message.get("content")) for message in self.messages or [])


def _content_text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""
