"""What an endpoint read from the bytes of an answer: chunks, counts, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from fmload.model.outcome import Failure
from fmload.model.record import TokensSource

Channel = Literal["answer", "reasoning", "tool"]


class Chunk(NamedTuple):
    """One token-bearing piece of the answer. `end` is the offset in the body at which it was complete.

    `tokens` is 1 unless the server says better. `channel` is that of the answer where it holds a part of it. `text` is
    kept only until the record is made; `thought` is the reasoning that came in the same piece as a part of the answer.
    """

    end: int
    tokens: int = 1
    channel: Channel = "answer"
    text: str = ""
    thought: str = ""


class ToolCall(NamedTuple):
    """A call that the model asks for; `arguments` is the text that it wrote, JSON where all went well."""

    id: str
    name: str
    arguments: str


def calls_json(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """Tool calls as a message of a chat has them; empty where there are none."""
    told = [{"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls]
    return {"tool_calls": told} if told else {}


class Batch(NamedTuple):
    """What an answer holds that is no text: vectors, the scores of a ranking, or images.

    `indices` are the inputs that they say they are of, where they say so; `dimensions` the lengths of the vectors,
    `sizes` width and height of the images, where they are there to be read. Of a stream, `parts` are the offsets at
    which each part (a partial image or a whole one) was complete, and `end` is that of the last whole one.
    """

    held: int
    indices: Sequence[int] = ()
    dimensions: Sequence[int] = ()
    sizes: Sequence[tuple[int, int]] = ()
    parts: Sequence[int] = ()
    end: int | None = None


class Expected(NamedTuple):
    """What an answer to a request of so many `inputs` has to hold: `wanted` vectors, of so many numbers where that is
    known, or results; or so many images, of a width and height where those were asked for."""

    what: Literal["vectors", "results", "images"]
    inputs: int
    wanted: int
    dimension: int | None = None
    size: tuple[int, int] | None = None


class ExpectedTranscript(NamedTuple):
    """What an answer to so many seconds of sound has to be: their transcript, with a text where they hold `speech`."""

    audio_s: float
    speech: bool


class ExpectedSpeech(NamedTuple):
    """What an answer to a text of so many characters has to be: sound."""

    characters: int


class Transcript(NamedTuple):
    """What an answer to sound says. `first_end`: offset in the body at which its first text was complete (None: it came
    whole, or has none); `heard_s`: seconds of sound that the server says it heard, where it does."""

    characters: int
    first_end: int | None = None
    heard_s: float | None = None


class Speech(NamedTuple):
    """The sound in an answer. `first_end`, `last_end`: offsets in the body at which its first and last sound were
    complete; `seconds` of it, and how many `seconds_at` an offset were there (None: its form does not tell)."""

    first_end: int
    last_end: int
    seconds: float | None = None
    seconds_at: Callable[[int], float] | None = None


@dataclass(slots=True)
class Reading:
    """What the bytes said. Counts are None where the server was silent. `detail` is the server's own account.

    `chunk_tokens_known`: whether each chunk's tokens are what it really held: told for every chunk, or as many tokens
    as pieces of text in all. `choices`: answers to the one prompt; counts and chunks are of all of them. `remark`: what
    was strange about a count, and what was set aside for it.
    """

    chunks: list[Chunk] = field(default_factory=list)
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None  # of the input, written to the prefix cache; with those for 1 h
    cache_write_1h_tokens: int | None = None
    tokens_source: TokensSource | None = None
    finish_reason: str | None = None
    failure: Failure | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    chunk_tokens_known: bool = False
    choices: int = 1
    remark: str | None = None
    response_id: str | None = None  # the server's name for the answer, where a later request may go on from it
    tool_calls: list[ToolCall] = field(default_factory=list)
    batch: Batch | None = None  # of an endpoint that embeds, ranks or makes images: it generates no text, no chunks
    body: bytes = b""  # of an answer of vectors or a ranking, whose numbers nobody keeps
    transcript: Transcript | None = None  # of one that was sent sound; its text is in `chunks`
    speech: Speech | None = None  # of one that speaks
    deferred: bool = False  # the answer lay ready and was fetched whole: it has no first token of its own
    image_tokens: int | None = None  # of the input, where the server tells kinds apart
    audio_tokens: int | None = None
    video_tokens: int | None = None

    def said(self, channel: Channel) -> str:
        """All text of one channel."""
        said = [chunk.text for chunk in self.chunks if chunk.channel == channel]
        if channel == "reasoning":
            said = [chunk.text if chunk.channel == channel else chunk.thought for chunk in self.chunks]
        return "".join(said)
