"""The metrics of one request, straight from its record: the fast forms that the live view uses.

Each is named by the entry of its metric in `fmload.metrics.definitions`; a property test holds both against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from fmload.model.record import SAFE_CHECK, Record

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RecordGaps:
    """The gaps of one answer whose ends are known exactly, in nanoseconds. `tokens`: of the later chunk of each;
    None where it is not known how many a chunk holds."""

    gap_ns: Ints
    tokens: npt.NDArray[np.int32] | None


def gaps_of(record: Record) -> RecordGaps | None:
    """None where there are none: of one chunk, or of several answers to one request."""
    if len(record.chunk_ns) < 2 or record.choices > 1:
        return None
    stamps: Ints = np.frombuffer(record.chunk_ns, np.int64)
    gap_ns = stamps[1:] - stamps[:-1]
    tokens: npt.NDArray[np.int32] = np.frombuffer(record.chunk_tokens, np.int32)[1:]
    if 1 in record.chunk_censored:
        censored = np.frombuffer(record.chunk_censored, np.int8).astype(bool)
        exact = ~(censored[1:] | censored[:-1])
        gap_ns, tokens = gap_ns[exact], tokens[exact]
    return RecordGaps(gap_ns, tokens if record.chunk_tokens_known else None)


def icl_ns(gaps: RecordGaps) -> Ints:
    """The gaps themselves."""
    return gaps.gap_ns


def itl_ns(gaps: RecordGaps) -> Ints | None:
    """Each gap shared by the tokens of its later chunk, once a token; None where their number is not known."""
    if gaps.tokens is None:
        return None
    if (gaps.tokens == 1).all():
        return gaps.gap_ns
    return np.repeat(gaps.gap_ns // np.maximum(gaps.tokens, 1), gaps.tokens)


def ttft_ns(record: Record) -> int | None:
    return _between(record.send_ns, record.first_token_ns)


def ttft_scheduled_ns(record: Record) -> int | None:
    return _between(record.scheduled_ns, record.first_token_ns)


def ttfa_ns(record: Record) -> int | None:
    return _between(record.send_ns, record.first_answer_ns)


def e2e_ns(record: Record) -> int | None:
    return _between(record.send_ns, record.last_token_ns)


def e2e_scheduled_ns(record: Record) -> int | None:
    return _between(record.scheduled_ns, record.last_token_ns)


def send_lateness_ns(record: Record) -> int | None:
    return _between(record.scheduled_ns, record.send_ns)


def tpot_ns(record: Record) -> int | None:
    first_ns, last_ns = record.first_token_ns, record.last_token_ns
    if not record.streamed or len(record.chunk_ns) < 2 or record.output_tokens is None:
        return None
    choices = max(record.choices, 1)
    first = _first_chunk_tokens(record, choices)
    if first is None or first_ns is None or last_ns is None or (
            after_first := record.output_tokens / choices - first) <= 0:
        return None
    return int((last_ns - first_ns) / after_first)


def _first_chunk_tokens(record: Record, choices: int) -> float | None:
    """`n_1`; None where the first chunk is reasoning that came whole and sealed."""
    held = record.chunk_tokens[0]
    if record.chunk_tokens_known:
        return held
    return 1 + _hidden_reasoning_tokens(record) / choices if held else None


def _hidden_reasoning_tokens(record: Record) -> int:
    """Reasoning tokens that were made before the first chunk, and that none brought."""
    thought, made = record.reasoning_tokens or 0, record.output_tokens or 0
    hidden = record.first_answer_ns == record.first_token_ns and made - thought >= len(record.chunk_ns)
    return thought if hidden else 0


def e2e_with_checks_ns(record: Record) -> int | None:
    """E2E and the safety checks that are noted in the record's detail."""
    answer_ns = e2e_ns(record)
    noted = (orjson.loads(record.detail).get(SAFE_CHECK) or {}) if record.detail else {}
    checks_s = [step["s"] for step in noted.values() if "s" in step]
    return answer_ns + round(sum(checks_s) * 1e9) if checks_s and answer_ns is not None else None


def input_tokens(record: Record) -> int | None:
    """The server's count; else the prompt's, which holds no token of images, sound and video."""
    if record.input_tokens is not None or record.media_bytes is not None:
        return record.input_tokens
    return record.prompt_tokens


def output_tokens(record: Record) -> int | None:
    return record.output_tokens


def inputs(record: Record) -> int | None:
    return record.inputs


def first_text_ns(record: Record) -> int | None:
    return None if record.audio_in_s is None else _between(record.send_ns, record.first_output_ns)


def first_audio_ns(record: Record) -> int | None:
    return None if record.audio_in_s is not None or record.characters is None else _between(
        record.send_ns, record.first_output_ns)


def audio_s(record: Record) -> float | None:
    return record.audio_out_s if record.audio_in_s is None else record.audio_in_s


def real_time_factor(record: Record) -> float | None:
    whole_ns, seconds = e2e_ns(record), audio_s(record)
    return None if whole_ns is None or not seconds else whole_ns / 1e9 / seconds


def characters(record: Record) -> int | None:
    return record.characters


def stalls(record: Record) -> int | None:
    return record.stalls


def stalled_ns(record: Record) -> int | None:
    return record.stalled_ns


def images(record: Record) -> int | None:
    return record.images


def ttfi_ns(record: Record) -> int | None:
    return None if record.images is None else _between(record.send_ns, record.first_output_ns)


def time_per_image_ns(record: Record) -> int | None:
    whole_ns = e2e_ns(record)
    return round(whole_ns / record.images) if whole_ns is not None and record.images else None


def images_in(record: Record) -> int | None:
    return record.images_in


def media_bytes(record: Record) -> int | None:
    return record.media_bytes


def media_ns(record: Record) -> int | None:
    return None if record.media_s is None else round(record.media_s * 1e9)


def image_tokens(record: Record) -> int | None:
    return record.image_tokens


def audio_tokens(record: Record) -> int | None:
    return record.audio_tokens


def video_tokens(record: Record) -> int | None:
    return record.video_tokens


def _between(begun_ns: int | None, ended_ns: int | None) -> int | None:
    return None if begun_ns is None or ended_ns is None else ended_ns - begun_ns
