"""What an answer has to be where that is not text of a model's own, in the record and against what came."""

from __future__ import annotations

from typing import Any

from fmload.endpoints.images_answer import mismatch as other_images
from fmload.endpoints.inputs_answer import mismatch as other_inputs
from fmload.model.outcome import Failure
from fmload.model.reading import Expected, ExpectedSpeech, ExpectedTranscript, Reading, Transcript

Wanted = Expected | ExpectedTranscript | ExpectedSpeech
_ROUNDED_S, _EXACT_S = 1.0, 0.1  # servers bill whole seconds; what is told more exactly is known better
_OFF = 0.1  # of the sound; formats pad it


def asked(wanted: Wanted | None) -> dict[str, Any]:
    """What a record says of the request, whatever becomes of it."""
    match wanted:
        case Expected("images"):
            return {"images": wanted.wanted}
        case Expected():
            return {"inputs": wanted.inputs}
        case ExpectedTranscript():
            return {"audio_in_s": wanted.audio_s}
        case ExpectedSpeech():
            return {"characters": wanted.characters}
    return {}


def mismatch(reading: Reading, wanted: Wanted) -> Failure | None:
    """Why an answer is not one to its request; None where it is."""
    match wanted:
        case Expected("images"):
            return other_images(reading.batch, wanted)
        case Expected():
            return other_inputs(reading.batch, wanted)
        case ExpectedTranscript():
            return _other_transcript(reading.transcript, wanted)
    return Failure("empty", "the response holds no sound") if reading.speech is None else None


def _other_transcript(found: Transcript | None, wanted: ExpectedTranscript) -> Failure | None:
    """Too little heard is no transcript of what was sent: it would be a fast one."""
    if found is None or (wanted.speech and not found.characters):
        return Failure("empty", "the transcript is empty")
    heard_s = found.heard_s
    if heard_s is None:
        return None
    if heard_s + (_ROUNDED_S if heard_s.is_integer() else _EXACT_S) < (1 - _OFF) * wanted.audio_s:
        return Failure("decode", f"the server heard {heard_s:.4g} s of sound; {wanted.audio_s:.4g} s were sent")
    return None
