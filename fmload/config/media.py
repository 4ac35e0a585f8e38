"""`media` of a prompt set: images, sound and video in every prompt, made by the seed or from files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from fmload.config import limits
from fmload.config.abilities import carried_by
from fmload.config.lengths import Distribution, Duration, Durations, Length
from fmload.config.model import Rule, Strict
from fmload.config.values import Bytes

_MOST_PIXELS = 16_384  # of a side
_ONE = Distribution(kind="fixed", mean=1)


class _Files(Strict):
    """What all kinds have."""

    count: Length = Field(_ONE, description="how many in a prompt")
    files: list[str] | None = Field(None, min_length=1, max_length=limits.ENTRIES,
                                    description="paths and patterns, such as photos/*.jpg, in place of made ones")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        for key in cls.model_fields:
            if given.get("files") is not None and key not in ("count", "files", "url") and key in given:
                yield key, "goes with what is made; files are as they are"
        if given.get("url") is not None and given.get("files") is None:
            yield "url", "needs files: their names follow the address, and their headers tell their sizes"


class ImagesSpec(_Files):
    """Images."""

    width: Length = Field(Distribution(kind="fixed", mean=512), description="pixels")
    height: Length = Field(Distribution(kind="fixed", mean=512), description="pixels")
    format: Literal["jpeg", "png", "webp"] = Field("jpeg", description="of made images")
    content: Literal["picture", "noise"] = Field(
        "picture", description="picture: compresses as photographs do; noise: not at all, the largest file")
    url: str | None = Field(None, description="files are not sent, but named: this address and the file's name")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        yield from super().rules(given)
        yield from _too_large(given)


class AudioSpec(_Files):
    """Sound: WAV, 16 bits, one channel."""

    seconds: Duration = Field(Durations(kind="fixed", mean=5.0), description="length of each")
    sample_rate: int = Field(16000, ge=4000, le=192_000, description="samples a second")


class VideoSpec(_Files):
    """Video: MP4 (H.264), made with PyAV (`pip install 'fmload[video]'`)."""

    seconds: Duration = Field(Durations(kind="fixed", mean=2.0), description="length of each")
    width: Length = Field(Distribution(kind="fixed", mean=640), description="pixels, an even number")
    height: Length = Field(Distribution(kind="fixed", mean=360), description="pixels, an even number")
    fps: int = Field(10, ge=1, le=60, description="frames a second")
    url: str | None = Field(None, description="files are not sent, but named: this address and the file's name")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        yield from super().rules(given)
        yield from _too_large(given)


def _too_large(given: Mapping[str, Any]) -> Iterator[Rule]:
    for side in ("width", "height"):
        asked = given.get(side)
        most = getattr(asked, "max", None) or getattr(asked, "mean", None) or asked
        most = (most.get("max") or most.get("mean")) if isinstance(most, Mapping) else most
        if isinstance(most, int | float) and most > _MOST_PIXELS:
            yield side, f"{most:g} pixels; {_MOST_PIXELS:,} are the most"


class MediaSpec(Strict):
    """What every prompt of a set holds beside its text."""

    images: ImagesSpec | None = Field(None, description="images of each prompt; {} for one of 512 × 512")
    audio: AudioSpec | None = Field(None, description="sound of each prompt; {} for 5 s")
    video: VideoSpec | None = Field(None, description="video of each prompt; {} for 2 s")
    distinct: int | None = Field(
        None, ge=1, le=limits.PROMPTS,
        description="different ones that are made of each kind; default: one for each that is sent, 1,000 at most, as "
                    "memory allows")
    memory_bytes: Bytes = Field(256 << 20, alias="memory", ge=1 << 20,
                                description="that they may take, in all workers together")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if not {"images", "audio", "video"} & {key for key, value in given.items() if value is not None}:
            yield "", "says nothing; give images, audio or video ({} for one of the usual size)"

    @property
    def kinds(self) -> dict[str, _Files]:
        """Those that are asked for."""
        found = {"images": self.images, "audio": self.audio, "video": self.video}
        return {kind: spec for kind, spec in found.items() if spec is not None}


def uncarried(given: Mapping[str, Any]) -> Iterator[Rule]:
    """Kinds of media for which the protocol of an endpoint has no place. Components of a mix, and what rows bring of
    their own, are judged prompt by prompt before the load (`worker.dispatcher`)."""
    load = given.get("load")
    if (load.get("mix") if isinstance(load, Mapping) else getattr(load, "mix", None)):
        return
    for index, prompts in enumerate(_listed(given.get("prompts"))):
        asked = _of(prompts, "media")
        for kind in ("images", "audio", "video"):
            if asked is None or _of(asked, kind) is None:
                continue
            for endpoint in _listed(given.get("endpoints")):
                if (known := carried_by(endpoint)) is not None and kind not in known:
                    yield ("prompts", index, "media", kind), _told(endpoint, kind, known)


def _told(endpoint: Any, kind: str, known: frozenset[str]) -> str:
    has = f" (it has {' and '.join(sorted(known))})" if known else ""
    return (f"endpoint '{_of(endpoint, 'name')}' (protocol {_of(endpoint, 'protocol')}) has no place for {kind} in its "
            f"requests{has}; leave it out, or use a protocol that has, such as openai (api: chat), gemini, or bedrock "
            "(api: converse)")


def _of(entry: object, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else getattr(entry, name, None)


def _listed(entries: object) -> list[Any]:
    return entries if isinstance(entries, list) else []
