"""Every metric once: its name, unit, level, and the function that computes it. The docstrings are the definitions.

Four levels. A *request* metric gives one value a request, a *token* metric one sample a chunk or token, a *session*
metric one value a session, a *stage* metric one value a stage. Columns are numpy arrays; NaN is null. `docs/metrics.md`
is made from this file (`python -m fmload.metrics.definitions`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fmload import plugins
from fmload.base.errors import FmloadError
from fmload.base.units import DURATIONS
from fmload.metrics import per_record

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Level = Literal["request", "token", "session", "stage"]

NS = 1e9


@dataclass(frozen=True, slots=True)
class Sound:
    """What requests have to do with sound, one row a request; NaN: nothing, or not known. The columns of records."""

    audio_in_s: Floats
    audio_out_s: Floats
    characters: Floats
    first_output_ns: Floats
    stalls: Floats
    stalled_ns: Floats

    @property
    def transcribed(self) -> Bools:
        """Of which requests the sound was sent, to be transcribed."""
        return np.isfinite(self.audio_in_s)

    @property
    def spoken(self) -> Bools:
        """Which requests ask for a text to be spoken."""
        return np.isfinite(self.characters) & ~self.transcribed


@dataclass(frozen=True, slots=True)
class Columns:
    """Requests as columns, one row a request.

    Instants are nanoseconds after one common origin, as floats (NaN: never came). The chunks of row i are
    `chunk_ns[chunk_offsets[i]:chunk_offsets[i + 1]]`, and so on for the other two.
    """

    scheduled_ns: Floats
    send_ns: Floats
    first_token_ns: Floats
    first_answer_ns: Floats
    last_token_ns: Floats
    end_ns: Floats
    input_tokens: Floats
    output_tokens: Floats
    cached_tokens: Floats
    streamed: Bools
    chunk_offsets: Ints
    chunk_ns: Ints
    chunk_tokens: Ints
    chunk_censored: Bools
    chunk_tokens_known: Bools  # of each request: whether its `chunk_tokens` are what each chunk really held
    choices: Ints | None = None  # answers to each request (`n`); None: one each
    reasoning_tokens: Floats | None = None  # of the output tokens, where the server tells
    inputs: Floats | None = None  # to embed or to rank, of each request; None: all of them generate text
    checks_s: Floats | None = None  # time of the safety checks of each request; None: there are none
    sound: Sound | None = None  # sent or made; None: no request has to do with sound
    images: Floats | None = None  # that each request is to make; None: all of them generate text
    first_output_ns: Floats | None = None  # the first image or sound of a streamed answer
    media: Mapping[str, Floats] = field(default_factory=dict)  # images_in, pixels_in, media_s, media_bytes, …_tokens

    @property
    def rows(self) -> int:
        """How many requests."""
        return len(self.send_ns)

    @property
    def chunk_counts(self) -> Ints:
        """Token-bearing chunks of each request."""
        return np.diff(self.chunk_offsets)

    @property
    def single(self) -> Bools:
        """Whether each request asked for one answer: the chunks of several are not told apart."""
        return np.ones(self.rows, dtype=bool) if self.choices is None else self.choices <= 1

    @property
    def tokens_of_a_choice(self) -> Floats:
        """Output tokens ÷ choices: what one of several answers to a request is long on average."""
        return self.output_tokens if self.choices is None else self.output_tokens / np.maximum(self.choices, 1)

    @property
    def first_chunk_tokens(self) -> Floats:
        """`n_1`: tokens in the first token-bearing chunk; 1 where that is not known, or there is none. Reasoning that
        was told and never shown came before it. Null where the first chunk is reasoning that came whole and sealed."""
        tokens = 1 + self.hidden_reasoning_tokens
        some = self.chunk_counts > 0
        held = self.chunk_tokens[self.chunk_offsets[:-1][some]]
        tokens[some] = np.where(self.chunk_tokens_known[some], held, np.where(held > 0, tokens[some], np.nan))
        return tokens

    @property
    def hidden_reasoning_tokens(self) -> Floats:
        """Reasoning tokens of a choice that no chunk brought: the first chunk is of the answer, and the tokens of the
        answer are enough for all chunks. 0 where the server tells of none."""
        if self.reasoning_tokens is None:
            return np.zeros(self.rows)
        with np.errstate(invalid="ignore"):
            hidden = (self.first_answer_ns == self.first_token_ns) & (
                self.output_tokens - self.reasoning_tokens >= self.chunk_counts)
        choices = 1 if self.choices is None else np.maximum(self.choices, 1)
        return np.where(hidden, np.nan_to_num(self.reasoning_tokens), 0.0) / choices

    def chunk_rows(self) -> Ints:
        """The row to which each chunk belongs."""
        return np.repeat(np.arange(self.rows), self.chunk_counts)


@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps between neighbouring token-bearing chunks of a request, in nanoseconds, with the tokens of the later one.

    A gap is `known` when neither end is interval-censored. `low_ns` and `high_ns` bound the true gap; they equal
    `gap_ns` where it is known. `tokens` is 0 where it is not known how many tokens the later chunk holds.
    """

    row: Ints
    gap_ns: Ints
    tokens: Ints
    known: Bools
    low_ns: Ints
    high_ns: Ints


def gaps(columns: Columns) -> Gaps:
    """All gaps of all requests of one answer each, in order of arrival."""
    stamps, censored = columns.chunk_ns, columns.chunk_censored
    rows = columns.chunk_rows()
    inside = (rows[1:] == rows[:-1]) & columns.single[rows[1:]]
    gap_ns = np.diff(stamps)[inside]
    row = rows[1:][inside]
    tokens = np.where(columns.chunk_tokens_known[row], columns.chunk_tokens[1:][inside], 0)
    if not censored.any():
        return Gaps(row, gap_ns, tokens, np.ones(len(gap_ns), dtype=bool), gap_ns, gap_ns)
    earliest = _earliest_ns(columns, rows)
    return Gaps(row, gap_ns, tokens, known=~(censored[1:] | censored[:-1])[inside],
                low_ns=np.maximum(earliest[1:] - stamps[:-1], 0)[inside],
                high_ns=(stamps[1:] - earliest[:-1])[inside])


def _earliest_ns(columns: Columns, rows: Ints) -> Ints:
    """The earliest instant at which each chunk can have come: its own stamp, or the stamp before a late read's."""
    stamps = columns.chunk_ns
    new_read = np.ones(len(stamps), dtype=bool)
    new_read[1:] = (rows[1:] != rows[:-1]) | (stamps[1:] != stamps[:-1])
    first_of_read = np.maximum.accumulate(np.where(new_read, np.arange(len(stamps)), 0))
    before = first_of_read - 1
    sent = np.nan_to_num(columns.send_ns[rows], nan=0.0).astype(np.int64)
    first_read = (before < 0) | (rows[before] != rows)
    previous = np.where(first_read, np.minimum(sent, stamps), stamps[before])
    return np.where(columns.chunk_censored, previous, stamps)


def ttft(columns: Columns) -> Floats:
    """`t_1 − t_send`: from just before the first byte of the request is written to the arrival of the first chunk
    that carries a generated token, in any channel. A response that was not streamed arrives as one chunk."""
    return (columns.first_token_ns - columns.send_ns) / NS


def ttft_scheduled(columns: Columns) -> Floats:
    """`t_1 − t_sched`: from the instant at which the request was due. Free of coordinated omission; the one shown
    first in an open loop."""
    return (columns.first_token_ns - columns.scheduled_ns) / NS


def ttfa(columns: Columns) -> Floats:
    """`t_a − t_send`: time to the first token of the answer proper; later than TTFT for models that reason first."""
    return (columns.first_answer_ns - columns.send_ns) / NS


def e2e(columns: Columns) -> Floats:
    """`t_L − t_send`: to the arrival of the last token-bearing chunk. Usage chunks and `[DONE]` do not count. Of
    embeddings and rankings, t_L is the arrival of the answer's last byte; of images, of the last one's; of speech that
    of its last sound; of a transcription that of its last text where it is streamed, else of the last byte."""
    return (columns.last_token_ns - columns.send_ns) / NS


def e2e_scheduled(columns: Columns) -> Floats:
    """`t_L − t_sched`: from the instant at which the request was due."""
    return (columns.last_token_ns - columns.scheduled_ns) / NS


def tpot(columns: Columns) -> Floats:
    """`(t_L − t_1) / (N − n_1)`: N output tokens, n_1 of them in the first token-bearing chunk (1 when unknown).
    Null when N ≤ n_1, the response was not streamed, or its first chunk is sealed reasoning of unknown size; never 0.
    Every request has the same weight. Of a request for
    several answers (`n`), N is that of one of them on average. Reasoning that the server counts and does not show was
    made before the first chunk, and counts in n_1."""
    after_first = columns.tokens_of_a_choice - columns.first_chunk_tokens
    counted = columns.streamed & (after_first > 0) & (columns.chunk_counts > 1)
    spread = (columns.last_token_ns - columns.first_token_ns) / NS
    found: Floats = np.divide(spread, after_first, out=np.full(columns.rows, np.nan), where=counted)
    return found


def e2e_with_checks(columns: Columns) -> Floats:
    """E2E latency + time of the content-safety checks before and after the request (`load.safe_check`), which no other
    metric holds: what a user waits for a whole answer that was checked. Null without checks."""
    return np.full(columns.rows, np.nan) if columns.checks_s is None else e2e(columns) + columns.checks_s


def send_lateness(columns: Columns) -> Floats:
    """`t_send − t_sched`: how late the client sent the request."""
    return (columns.send_ns - columns.scheduled_ns) / NS


def input_tokens(columns: Columns) -> Floats:
    """Tokens of the prompt as the server counted them where it tells; else counted with the model's tokenizer."""
    return columns.input_tokens


def output_tokens(columns: Columns) -> Floats:
    """Tokens generated, all channels: the server's own usage where it sends one; else counted with the model's
    tokenizer after the run; else with the bundled one (`approximate`); else chunks. `tokens_source` says which."""
    return columns.output_tokens


def inputs(columns: Columns) -> Floats:
    """Texts to embed, or documents to rank, of one request: its batch size. Null for one that generates text. Such a
    request has an E2E latency, to the last byte of its answer, and neither TTFT nor gaps: it makes no token."""
    return np.full(columns.rows, np.nan) if columns.inputs is None else columns.inputs


def first_text(columns: Columns) -> Floats:
    """Of a transcription that is streamed: `t_send` to the arrival of its first text. Null for one that came whole: its
    text is there at the end, which is E2E."""
    return _of_sound(columns, lambda sound: np.where(sound.transcribed, sound.first_output_ns - columns.send_ns,
                                                     np.nan) / NS)


def first_audio(columns: Columns) -> Floats:
    """Of an answer that speaks: `t_send` to the arrival of its first sound, headers of the file format left out."""
    return _of_sound(columns, lambda sound: np.where(sound.spoken, sound.first_output_ns - columns.send_ns,
                                                     np.nan) / NS)


def audio(columns: Columns) -> Floats:
    """Seconds of sound of one request: sent to be transcribed, or made of its text. A count of sound, not a time: of a
    file by its header and its bytes, of an answer by its bytes. Null where the format does not tell."""
    return _of_sound(columns, lambda sound: np.where(sound.transcribed, sound.audio_in_s, sound.audio_out_s))


def real_time_factor(columns: Columns) -> Floats:
    """E2E latency ÷ seconds of sound, of one request: below 1 it is faster than the sound itself."""
    seconds = audio(columns)
    found: Floats = np.divide(e2e(columns), seconds, out=np.full(columns.rows, np.nan), where=seconds > 0)
    return found


def characters(columns: Columns) -> Floats:
    """Characters (code points) of the text that is to be spoken; of sound, of its transcript."""
    return _of_sound(columns, lambda sound: sound.characters)


def stalls(columns: Columns) -> Floats:
    """Times at which playback of the sound would have run dry, had it begun once 100 ms of it (or all) were there and
    gone on whenever more came. Null where the format does not tell how much sound bytes hold."""
    return _of_sound(columns, lambda sound: sound.stalls)


def stalled(columns: Columns) -> Floats:
    """For how long playback would have stood still in all, by the rule of `stalls`."""
    return _of_sound(columns, lambda sound: sound.stalled_ns / NS)


def _of_sound(columns: Columns, values: Callable[[Sound], Floats]) -> Floats:
    return np.full(columns.rows, np.nan) if columns.sound is None else values(columns.sound)
def images(columns: Columns) -> Floats:
    """Images that one request is to make (`n`). Null for one that makes none. Such a request has an E2E latency, to the
    last byte of its last image, and neither TTFT nor gaps."""
    return np.full(columns.rows, np.nan) if columns.images is None else columns.images


def ttfi(columns: Columns) -> Floats:
    """`t_p − t_send`: to the arrival of the first image of a streamed answer, partial or whole. Null where images come
    in one piece: there it would be the E2E latency under another name."""
    if columns.first_output_ns is None:
        return _null(columns)
    return np.where(np.isnan(images(columns)), np.nan, columns.first_output_ns - columns.send_ns) / NS


def time_per_image(columns: Columns) -> Floats:
    """E2E latency ÷ images of the request. Null for one that makes none."""
    return e2e(columns) / images(columns)


def images_in(columns: Columns) -> Floats:
    """Images in the prompt. Null for a prompt of text alone."""
    return columns.media.get("images_in", _null(columns))


def media_bytes(columns: Columns) -> Floats:
    """Bytes of all images, sound and video in the prompt, as files: as they are sent in base64 they are a third more.
    What is sent by its address counts none. Null for a prompt of text alone."""
    return columns.media.get("media_bytes", _null(columns))


def media_duration(columns: Columns) -> Floats:
    """Seconds of sound and video in the prompt. Null where there is none, or its length is not known."""
    return columns.media.get("media_s", _null(columns))


def image_tokens(columns: Columns) -> Floats:
    """Input tokens that the server says are of images. Null where it does not tell them apart: no tokenizer of ours
    can count them."""
    return columns.media.get("image_tokens", _null(columns))


def audio_tokens(columns: Columns) -> Floats:
    """Input tokens that the server says are of sound. Null where it does not tell them apart."""
    return columns.media.get("audio_tokens", _null(columns))


def video_tokens(columns: Columns) -> Floats:
    """Input tokens that the server says are of video. Null where it does not tell them apart."""
    return columns.media.get("video_tokens", _null(columns))


def _null(columns: Columns) -> Floats:
    return np.full(columns.rows, np.nan)


def icl(found: Gaps) -> tuple[Floats, Ints]:
    """`t_k − t_(k−1)`: each gap between token-bearing chunks, one sample a chunk (what vLLM calls ITL)."""
    return found.gap_ns / NS, np.ones(len(found.gap_ns), dtype=np.int64)


def itl(found: Gaps) -> tuple[Floats, Ints]:
    """`(t_k − t_(k−1)) / n_k`, counted `n_k` times: each gap divided over the tokens of its chunk. Equals ICL when
    every chunk holds one token. Never interpolated between the first and the last token. Null where it is not known
    how many tokens each chunk holds (told for every chunk, or as many tokens as chunks in all, or counted by the
    model's own tokenizer): ICL is shown in its place."""
    return per_token_s(found.gap_ns, found.tokens), found.tokens


def per_token_s(gap_ns: Ints, tokens: Ints) -> Floats:
    """Gaps divided over the tokens of their chunks, in seconds; NaN where those are not known (0)."""
    found: Floats = np.divide(gap_ns / NS, tokens, out=np.full(len(gap_ns), np.nan), where=tokens > 0)
    return found


def meets(values: Mapping[str, Floats], limits: Mapping[str, float], rows: int) -> Bools:
    """Where every limit of a good request is kept. `values` holds each request metric that has a limit, one value a
    request. A metric that a request does not have (TPOT of an answer of one token) breaks no limit."""
    with np.errstate(invalid="ignore"):
        broken = [values[name] > limit for name, limit in limits.items()]
    return ~np.logical_or.reduce(broken) if broken else np.ones(rows, dtype=bool)


@dataclass(frozen=True, slots=True)
class SoundTotals:
    """Sums over the requests that ended well inside one window. `spoken`: their texts are spoken; else their sound is
    transcribed. `audio_s`: seconds of sound (None: of none is it known). `played` of the answers have a playback that
    is known, and `stuttered` of those would have stood still at least once."""

    spoken: bool
    audio_s: float | None = None
    characters: float = 0.0
    played: int = 0
    stuttered: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """What the stage metrics are made of: sums over one window.

    `started`, `succeeded`, `failed`: requests that started inside the window, by what became of them (`started` also
    holds those that the client itself cancelled). `completed` and `good`: requests that ended well inside the window,
    and those of them that met every objective (None: no objectives). `tokens_out` arrived inside the window;
    `tokens_in` are of requests whose first token did (`…_failed`: those of them whose request did not end well);
    `completed_tokens_*` are of the completed requests (cached: None where the server does not tell); `completed_inputs`
    are what they embedded or ranked, `completed_images` what they made, `sound` what they heard or spoke (None: the
    stage does nothing of the kind). `images_in` and `media_bytes` are of the requests sent inside the window (None:
    they were text alone). `in_flight_s` is the area under the in-flight curve.
    `usd_per_hour` is the price of all instances; `usd_for_tokens` what the completed requests cost by what they used,
    `usd_wasted` what those that failed or were cancelled did. `sessions_finished` and `sessions_failed` ended inside
    the window (None: there are none).
    """

    window_s: float
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    completed: int = 0
    good: int | None = None
    tokens_out: float = 0.0
    tokens_in: float = 0.0
    tokens_out_failed: float = 0.0
    tokens_in_failed: float = 0.0
    completed_tokens_in: float = 0.0
    completed_tokens_out: float = 0.0
    completed_tokens_cached: float | None = None
    completed_inputs: float | None = None
    sound: SoundTotals | None = None
    in_flight_s: float = 0.0
    accelerators: int | None = None
    usd_per_hour: float | None = None
    usd_for_tokens: float | None = None
    usd_wasted: float = 0.0
    sessions_finished: int | None = None
    sessions_failed: int | None = None
    completed_images: float | None = None
    images_in: float | None = None
    media_bytes: float | None = None

    @property
    def makes_text(self) -> bool:
        """Whether its requests are for text of a model's own, whose tokens count; else for vectors, ranks, images or
        sound."""
        return self.completed_inputs is None and self.completed_images is None and self.sound is None


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """The quotient, or None when either is unknown or the denominator is not positive."""
    if numerator is None or denominator is None or not denominator > 0:
        return None
    return numerator / denominator


def achieved_concurrency(totals: Totals) -> float | None:
    """Area under the curve of requests in flight inside the window ÷ window. A request is in flight from `t_send`
    until its stream has closed."""
    return ratio(totals.in_flight_s, totals.window_s)


def requests_per_s(totals: Totals) -> float | None:
    """Requests completed successfully inside the window ÷ window."""
    return ratio(totals.completed, totals.window_s)


def transactions_per_minute(totals: Totals) -> float | None:
    """60 × requests per second."""
    return ratio(60 * totals.completed, totals.window_s)


def output_tokens_per_s(totals: Totals) -> float | None:
    """Output tokens whose chunk arrived inside the window ÷ window: by token time, not by request end. Where the
    server's count of a request differs from the sum over its chunks, each of its chunks is weighted by their ratio.
    Null where inputs were embedded or ranked, which makes no token, and where images or sound were made, or sound was
    transcribed."""
    return ratio(totals.tokens_out, totals.window_s) if totals.makes_text else None


def inputs_per_s(totals: Totals) -> float | None:
    """Inputs of the requests that completed successfully inside the window ÷ window: texts embedded, or documents
    ranked. Null where text is generated. An answer with fewer vectors or results than were asked for is a failure, and
    none of its inputs counts."""
    return ratio(totals.completed_inputs, totals.window_s)


def price_per_1m_inputs(totals: Totals) -> float | None:
    """Of the inputs of the requests that ended well inside the window. Hourly: price per hour × instances ÷ 3600 ÷
    inputs a second × 10⁶. Token-priced: what their tokens cost ÷ those inputs × 10⁶. Null where text is generated, and
    when the price is unknown."""
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens * 1e6, totals.completed_inputs)
    return None if totals.usd_per_hour is None else ratio(totals.usd_per_hour / 3600 * 1e6, inputs_per_s(totals))


def audio_per_s(totals: Totals) -> float | None:
    """Seconds of sound of the requests that ended well inside the window ÷ window: transcribed, or made. 40 means that
    40 hours take one hour. Null where the formats of the sound do not tell how long it is."""
    return None if totals.sound is None else ratio(totals.sound.audio_s, totals.window_s)


def characters_per_s(totals: Totals) -> float | None:
    """Characters that were spoken, or of transcripts, of the requests that ended well inside the window ÷ window."""
    return None if totals.sound is None else ratio(totals.sound.characters, totals.window_s)


def stutter_share(totals: Totals) -> float | None:
    """Answers whose playback would have run dry at least once ÷ answers that ended well inside the window and whose
    playback is known (PCM, WAV, MP3 frames): see `stalls`. Null for what is not speech."""
    return None if totals.sound is None else ratio(totals.sound.stuttered, totals.sound.played)


def price_per_audio_hour(totals: Totals) -> float | None:
    """Price of an hour of sound, of the requests that ended well inside the window. Hourly: price per hour × instances
    ÷ seconds of sound a second. By use (tokens, minutes, characters): what those requests cost ÷ their sound."""
    if totals.sound is None:
        return None
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens * 3600, totals.sound.audio_s)
    return ratio(totals.usd_per_hour, audio_per_s(totals))


def price_per_audio_minute(totals: Totals) -> float | None:
    """1/60 of the price per hour of sound."""
    hour = price_per_audio_hour(totals)
    return None if hour is None else hour / 60


def price_per_1m_characters(totals: Totals) -> float | None:
    """Of the characters spoken in the requests that ended well inside the window, 10⁶ at a time; hourly, or by use.
    Null for transcription."""
    if totals.sound is None or not totals.sound.spoken:
        return None
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens * 1e6, totals.sound.characters)
    return None if totals.usd_per_hour is None else ratio(totals.usd_per_hour / 3600 * 1e6, characters_per_s(totals))
def images_per_minute(totals: Totals) -> float | None:
    """60 × images of the requests that completed successfully inside the window ÷ window. Null where none are made. An
    answer with fewer images than were asked for, or one that is no image, is a failure, and none of its images
    counts."""
    return None if totals.completed_images is None else ratio(60 * totals.completed_images, totals.window_s)


def price_per_1k_images(totals: Totals) -> float | None:
    """Of the images of the requests that ended well inside the window. Hourly: price per hour × instances ÷ 60 ÷ images
    a minute × 1,000. Priced by the image: 1,000 × that price. Token-priced: what their tokens cost ÷ those images ×
    1,000. Null where none are made, and when the price is unknown."""
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens * 1e3, totals.completed_images)
    return None if totals.usd_per_hour is None else ratio(totals.usd_per_hour / 60 * 1e3, images_per_minute(totals))


def images_in_per_s(totals: Totals) -> float | None:
    """Images in the prompts of the requests that were sent inside the window, and ended well, ÷ window. Null where
    prompts are text alone."""
    return ratio(totals.images_in, totals.window_s)


def media_bytes_per_s(totals: Totals) -> float | None:
    """Bytes of images, sound and video, as files, in the prompts of the requests that were sent inside the window, and
    ended well, ÷ window. Null where prompts are text alone."""
    return ratio(totals.media_bytes, totals.window_s)


def output_tokens_per_s_per_accelerator(totals: Totals) -> float | None:
    """Output tokens per second ÷ accelerators that serve the endpoint; null when their number is unknown."""
    return ratio(output_tokens_per_s(totals), totals.accelerators)


def input_tokens_per_s(totals: Totals) -> float | None:
    """Input tokens of the requests whose first token arrived inside the window ÷ window; of embeddings and rankings,
    of those whose answer did."""
    return ratio(totals.tokens_in, totals.window_s)


def error_rate(totals: Totals) -> float | None:
    """Failed ÷ (failed + succeeded), over the requests that started inside the window. Requests that were not
    answered within the drain (`censored`) and answers that a guardrail ended or replaced (`blocked`) count as failed;
    those that the client cancelled, or did not send since a safety check of its own found them unsafe, and those in
    which the load generator itself broke down (`client`) count as neither."""
    return ratio(totals.failed, totals.failed + totals.succeeded)


def goodput_per_s(totals: Totals) -> float | None:
    """Requests that completed successfully inside the window and met every per-request objective ÷ window; null
    when there are none such."""
    return None if totals.good is None else ratio(totals.good, totals.window_s)


def cached_share(totals: Totals) -> float | None:
    """Cached input tokens ÷ input tokens of the completed requests; null where the server does not tell."""
    return ratio(totals.completed_tokens_cached, totals.completed_tokens_in)


def price_per_transaction(totals: Totals) -> float | None:
    """Hourly: price per hour × instances ÷ (60 × transactions per minute). Token-priced: what the tokens of the
    requests that ended well inside the window cost, each kind (input, read from and written to a cache, output) at its
    own price, ÷ those requests. Null when the price is unknown or no request completed."""
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens, totals.completed)
    per_minute = transactions_per_minute(totals)
    return None if per_minute is None else ratio(totals.usd_per_hour, 60 * per_minute)


def price_per_1m_output_tokens(totals: Totals) -> float | None:
    """Of the output tokens of requests that ended well; those of failed ones are waste. Hourly: price per hour ×
    instances ÷ 3600 ÷ such tokens that arrived per second × 10⁶. Token-priced: the price of the requests that ended
    well inside the window over their output tokens. Null where output token throughput is: of images, sound,
    transcripts, embeddings and rankings."""
    if not totals.makes_text:
        return None
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens * 1e6, totals.completed_tokens_out)
    per_second = ratio(totals.tokens_out - totals.tokens_out_failed, totals.window_s)
    return None if per_second is None or totals.usd_per_hour is None else ratio(
        totals.usd_per_hour / 3600 * 1e6, per_second)


def session_duration(begin_ns: Floats, end_ns: Floats) -> Floats:
    """First `t_send` to last `t_L` of a session that finished: every request in it ended well, and it came to its end.
    Its tools and think times between them are in it. Over sessions whose last token arrived inside the window."""
    return (end_ns - begin_ns) / NS


def sessions_per_minute(totals: Totals) -> float | None:
    """60 × sessions that finished inside the window ÷ window; null without sessions."""
    return None if totals.sessions_finished is None else ratio(60 * totals.sessions_finished, totals.window_s)


def session_finished_share(totals: Totals) -> float | None:
    """Finished ÷ (finished + failed), over the sessions that ended inside the window. A session that loses a request is
    not finished; one that the end of its stage cut is neither."""
    finished, failed = totals.sessions_finished, totals.sessions_failed
    return None if finished is None or failed is None else ratio(finished, finished + failed)


def price_per_finished_session(totals: Totals) -> float | None:
    """Price of the window ÷ sessions that finished inside it. Token-priced: what all of its requests cost, those that
    failed or were cancelled included. Null when the price is unknown or no session finished."""
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens + totals.usd_wasted, totals.sessions_finished)
    usd = None if totals.usd_per_hour is None else totals.usd_per_hour / 3600 * totals.window_s
    return ratio(usd, totals.sessions_finished)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: all that fmload knows of it.

    `unit` is that of the values, `display_unit` that of tables and plots. The function's docstring is the public
    definition. `live` is its fast form for one record: whole nanoseconds of one in seconds, else the number; None
    where the record has none. One of a token metric takes `RecordGaps` and gives an array. None: only in the report.
    `family` names its histogram for Prometheus and OpenTelemetry, without prefix and unit; "": not watched live.
    """

    name: str
    title: str
    unit: str
    display_unit: str
    level: Level
    better: Literal["lower", "higher"] | None
    function: Callable[..., Any]
    live: Callable[[Any], Any] | None = None
    family: str = ""

    @property
    def in_seconds(self) -> bool:
        """Whether its values are seconds."""
        return self.unit in DURATIONS

    def columns(self, statistics: Iterable[str]) -> tuple[str, ...]:
        """Its columns of summary.csv: its name, or one a statistic, with `_s` for seconds."""
        second = "_s" if self.in_seconds else ""
        return (self.name,) if self.level == "stage" else tuple(f"{self.name}_{stat}{second}" for stat in statistics)

    @property
    def family_name(self) -> str:
        """The name of its histogram for Prometheus and OpenTelemetry."""
        return f"fmload_{self.family}_seconds"

    @property
    def display_scale(self) -> int:
        """The factor from `unit` to `display_unit`."""
        return 1000 if self.display_unit == "ms" else 1

    @property
    def definition(self) -> str:
        """The public definition, as one paragraph."""
        return " ".join((inspect.getdoc(self.function) or "").split())


_REQUEST = [
    Metric("ttft", "TTFT", "s", "ms", "request", "lower", ttft, live=per_record.ttft_ns, family="time_to_first_token"),
    Metric("ttft_scheduled", "Scheduled TTFT", "s", "ms", "request", "lower",
           ttft_scheduled, live=per_record.ttft_scheduled_ns),
    Metric("ttfa", "TTFA", "s", "ms", "request", "lower", ttfa, live=per_record.ttfa_ns),
    Metric("tpot", "TPOT", "s", "ms", "request", "lower",
           tpot, live=per_record.tpot_ns, family="time_per_output_token"),
    Metric("e2e", "E2E latency", "s", "s", "request", "lower", e2e, live=per_record.e2e_ns, family="e2e_latency"),
    Metric("e2e_scheduled", "Scheduled E2E latency", "s", "s", "request", "lower",
           e2e_scheduled, live=per_record.e2e_scheduled_ns),
    Metric("e2e_with_checks", "E2E latency with safety checks", "s", "s", "request", "lower",
           e2e_with_checks, live=per_record.e2e_with_checks_ns),
    Metric("send_lateness", "Send lateness", "s", "ms", "request", "lower",
           send_lateness, live=per_record.send_lateness_ns),
    Metric("input_tokens", "Input tokens", "tokens", "tokens", "request", None,
           input_tokens, live=per_record.input_tokens),
    Metric("output_tokens", "Output tokens", "tokens", "tokens", "request", None,
           output_tokens, live=per_record.output_tokens),
    Metric("inputs", "Inputs of a request", "inputs", "inputs", "request", None, inputs, live=per_record.inputs),
    Metric("first_text", "Time to first text", "s", "ms", "request", "lower", first_text,
           live=per_record.first_text_ns, family="time_to_first_text"),
    Metric("first_audio", "Time to first audio", "s", "ms", "request", "lower", first_audio,
           live=per_record.first_audio_ns, family="time_to_first_audio"),
    Metric("real_time_factor", "Real-time factor", "ratio", "ratio", "request", "lower", real_time_factor,
           live=per_record.real_time_factor),
    Metric("audio", "Sound of a request", "audio s", "audio s", "request", None, audio, live=per_record.audio_s),
    Metric("characters", "Characters of a request", "characters", "characters", "request", None, characters,
           live=per_record.characters),
    Metric("stalls", "Playback stalls", "stalls", "stalls", "request", "lower", stalls, live=per_record.stalls),
    Metric("stalled", "Playback standing still", "s", "ms", "request", "lower", stalled, live=per_record.stalled_ns),
    Metric("images", "Images of a request", "images", "images", "request", None, images, live=per_record.images),
    Metric("ttfi", "Time to first image", "s", "s", "request", "lower", ttfi, live=per_record.ttfi_ns),
    Metric("time_per_image", "Time per image", "s", "s", "request", "lower",
           time_per_image, live=per_record.time_per_image_ns),
    Metric("images_in", "Images in a prompt", "images", "images", "request", None,
           images_in, live=per_record.images_in),
    Metric("media_bytes", "Media of a prompt", "bytes", "bytes", "request", None,
           media_bytes, live=per_record.media_bytes),
    Metric("media_duration", "Sound and video in a prompt", "s", "s", "request", None,
           media_duration, live=per_record.media_ns),
    Metric("image_tokens", "Image tokens", "tokens", "tokens", "request", None,
           image_tokens, live=per_record.image_tokens),
    Metric("audio_tokens", "Audio tokens", "tokens", "tokens", "request", None,
           audio_tokens, live=per_record.audio_tokens),
    Metric("video_tokens", "Video tokens", "tokens", "tokens", "request", None,
           video_tokens, live=per_record.video_tokens),
]
_TOKEN = [
    Metric("itl", "ITL", "s", "ms", "token", "lower", itl, live=per_record.itl_ns, family="inter_token_latency"),
    Metric("icl", "ICL", "s", "ms", "token", "lower", icl, live=per_record.icl_ns, family="inter_chunk_latency"),
]
_SESSION = [Metric("session_duration", "Session duration", "s", "s", "session", "lower", session_duration)]
_STAGE = [
    Metric("achieved_concurrency", "Concurrency, achieved", "requests", "requests", "stage", None,
           achieved_concurrency),
    Metric("requests_per_s", "Request throughput", "1/s", "1/s", "stage", "higher", requests_per_s),
    Metric("transactions_per_minute", "Transactions per minute", "1/min", "1/min", "stage", "higher",
           transactions_per_minute),
    Metric("output_tokens_per_s", "Output token throughput", "tokens/s", "tokens/s", "stage", "higher",
           output_tokens_per_s),
    Metric("output_tokens_per_s_per_accelerator", "Output token throughput per accelerator", "tokens/s", "tokens/s",
           "stage", "higher", output_tokens_per_s_per_accelerator),
    Metric("input_tokens_per_s", "Input token throughput", "tokens/s", "tokens/s", "stage", "higher",
           input_tokens_per_s),
    Metric("inputs_per_s", "Input throughput", "inputs/s", "inputs/s", "stage", "higher", inputs_per_s),
    Metric("audio_per_s", "Audio throughput", "audio s/s", "audio s/s", "stage", "higher", audio_per_s),
    Metric("characters_per_s", "Character throughput", "characters/s", "characters/s", "stage", "higher",
           characters_per_s),
    Metric("stutter_share", "Answers that would stutter", "share", "%", "stage", "lower", stutter_share),
    Metric("images_per_minute", "Images made per minute", "1/min", "1/min", "stage", "higher", images_per_minute),
    Metric("images_in_per_s", "Images taken in", "images/s", "images/s", "stage", "higher", images_in_per_s),
    Metric("media_bytes_per_s", "Media sent", "bytes/s", "bytes/s", "stage", None, media_bytes_per_s),
    Metric("error_rate", "Error rate", "share", "%", "stage", "lower", error_rate),
    Metric("goodput_per_s", "Goodput", "1/s", "1/s", "stage", "higher", goodput_per_s),
    Metric("cached_share", "Cached input tokens", "share", "%", "stage", None, cached_share),
    Metric("price_per_transaction", "Price per transaction", "USD", "USD", "stage", "lower", price_per_transaction),
    Metric("price_per_1m_output_tokens", "Price per 1M output tokens", "USD", "USD", "stage", "lower",
           price_per_1m_output_tokens),
    Metric("price_per_1m_inputs", "Price per 1M inputs", "USD", "USD", "stage", "lower", price_per_1m_inputs),
    Metric("price_per_audio_hour", "Price per hour of sound", "USD", "USD", "stage", "lower", price_per_audio_hour),
    Metric("price_per_audio_minute", "Price per minute of sound", "USD", "USD", "stage", "lower",
           price_per_audio_minute),
    Metric("price_per_1m_characters", "Price per 1M characters", "USD", "USD", "stage", "lower",
           price_per_1m_characters),
    Metric("price_per_1k_images", "Price per 1,000 images", "USD", "USD", "stage", "lower", price_per_1k_images),
    Metric("sessions_per_minute", "Sessions finished per minute", "1/min", "1/min", "stage", "higher",
           sessions_per_minute),
    Metric("session_finished_share", "Sessions finished", "share", "%", "stage", "higher", session_finished_share),
    Metric("price_per_finished_session", "Price per finished session", "USD", "USD", "stage", "lower",
           price_per_finished_session),
]


class MetricTable(Mapping[str, Metric]):
    """All metrics by name, in the order in which they are shown. Those of other distributions come last; they are
    loaded when the table is first asked for one."""

    def __init__(self, own: Iterable[Metric]) -> None:
        self._own = {metric.name: metric for metric in own}

    @cached_property
    def _all(self) -> dict[str, Metric]:
        found = dict(self._own)
        for name in plugins.METRICS.in_order():
            metric = plugins.METRICS.load(name)
            if metric.name in found:
                raise FmloadError(f"metric '{name}' of another distribution calls itself '{metric.name}', "
                                  "which is a metric already", hint="give it a name of its own, or uninstall it")
            found[metric.name] = replace(metric, function=plugins.METRICS.guarded(name, metric.function))
        return found

    @property
    def further(self) -> list[Metric]:
        """Those of other distributions."""
        return [metric for name, metric in self._all.items() if name not in self._own]

    def __getitem__(self, name: str) -> Metric:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


METRICS = MetricTable((*_REQUEST, *_TOKEN, *_SESSION, *_STAGE))


def of_level(level: Level) -> list[Metric]:
    """The metrics of one level, in the order in which they are shown."""
    return [metric for metric in METRICS.values() if metric.level == level]


_HEADINGS: dict[Level, str] = {"request": "Metrics of one request", "token": "Metrics of tokens",
                               "session": "Metrics of one session",
                               "stage": "Metrics of one stage"}


def as_markdown() -> str:
    """The page docs/metrics.md."""
    parts = ["# Metrics", "", "Made from `fmload/metrics/definitions.py` by "
             "`python -m fmload.metrics.definitions`; edit the docstrings there.", "", _PREAMBLE]
    for level, heading in _HEADINGS.items():
        parts += ["", f"## {heading}", "", "| name | title | unit | better | live as | definition |",
                  "|---|---|---|---|---|---|"]
        parts += [f"| `{m.name}` | {m.title} | {m.unit} | {m.better or '–'} | {_live_name(m)} | {m.definition} |"
                  for m in of_level(level)]
    return "\n".join(parts) + "\n"


def _live_name(metric: Metric) -> str:
    return f"`{metric.family_name}`" if metric.family else "–"


_PREAMBLE = """\
Instants of a request, all from one monotonic clock: `t_sched` due, `t_send` just before its first byte, `t_1` first
chunk with a generated token, `t_a` first chunk with a token of the answer proper, `t_k` the k-th token-bearing chunk
(of `n_k` tokens), `t_L` the last one, `t_end` stream closed. Chunks without a token (role, ping, usage, `[DONE]`)
move neither `t_1` nor `t_L`.

Percentiles are nearest rank, over requests that started inside the measurement window and succeeded, pooled over all
workers; a second view counts every failure as +∞, and objectives, recommendations and searches use that one. Where
there are fewer samples than the floor (p90: 64, p95: 130, p99: 662) they are marked, shown with their order-statistic
bounds, and not compared as if they were known. An objective is met or missed by those bounds at 95 %, else unknown.
Percentiles of ITL and ICL are over the gaps that are known:
see [interval-censored tokens](decisions/censored-tokens.md)."""


if __name__ == "__main__":
    print(as_markdown(), end="")
