"""The images, sound and video that prompts hold, as recipes: drawn by the seed, few enough to be held in memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config.media import AudioSpec, ImagesSpec, MediaSpec, VideoSpec
from fmload.config.schema import PromptSpec, RunFile
from fmload.media import gallery
from fmload.media.headers import header_of
from fmload.model.prompt import Prompt
from fmload.prompts import files
from fmload.prompts.lengths import draw_length
from fmload.prompts.tones import piece

Recipe = dict[str, Any]
USUALLY = 1_000  # different ones of a kind, where nothing is said
_IN_BASE64 = 4 / 3
_NAMES = {"images": "image", "audio": "audio", "video": "video"}


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of media of a set: how many each prompt has, and how many different ones there are."""

    name: str
    counts: Sequence[int]
    entries: Sequence[Recipe]


def attached(prompts: Sequence[Prompt], spec: PromptSpec, seed: str, run: RunFile) -> list[Prompt]:
    """The prompts with recipes of their media; the turns of a conversation have the same. As they are where the set has
    none. Raises FmloadError for files that are not there, or are of no known kind."""
    media = spec.media
    if media is None:
        return list(prompts)
    of_prompts = [prompt.conversation or str(place) for place, prompt in enumerate(prompts)]
    units = {unit: place for place, unit in enumerate(dict.fromkeys(of_prompts))}
    kinds = [_kind(name, kind, media, f"{seed}/{name}", len(units), run) for name, kind in media.kinds.items()]
    dealt: list[list[Recipe]] = [[] for _ in units]
    for kind in kinds:
        entries = cycle(kind.entries)
        for place, count in enumerate(kind.counts):
            dealt[place] += [next(entries) for _ in range(count)]
    return [replace(prompt, media=dealt[units[unit]]) for unit, prompt in zip(of_prompts, prompts, strict=True)]


def remarks(prompts: Sequence[Prompt]) -> list[str]:
    """What is to be known of a set's media: how much memory they take, and whether any is sent twice."""
    sent = [recipe for prompt in prompts if not prompt.turn for recipe in prompt.media]
    if not sent:
        return []
    different = {hashlib.blake2b(repr(sorted(one.items())).encode(), digest_size=16).digest(): one for one in sent}
    size = sum(int(one.get("bytes", 0) * _IN_BASE64) for one in different.values())
    told = (f"{len(sent):,} images, sounds and videos in {len(prompts):,} prompts, about {size / 1e6:,.4g} MB in "
            "base64, which the workers hold; their tokens are the server's alone to count")
    if len(different) < len(sent):
        told += (f". {len(different):,} of them are different: a server that caches images will find the others again "
                 "(media.distinct, media.memory)")
    return [told]


def fingerprint(spec: PromptSpec) -> list[str]:
    """Changes whenever a file of the set's media has changed."""
    kinds = spec.media.kinds.values() if spec.media is not None else ()
    return [f"{found.path}:{found.path.stat().st_size}:{found.path.stat().st_mtime_ns}"
            for kind in kinds if kind.files for found in files.find(kind.files)]


def _kind(name: str, spec: Any, media: MediaSpec, seed: str, units: int, run: RunFile) -> _Kind:
    counts = [draw_length(spec.count, Random(f"{seed}/count/{place}")) for place in range(units)]
    if spec.files is not None:
        return _Kind(name, counts, _of_files(name, spec, seed))
    make = _MAKERS[name]
    sample = make(spec, f"{seed}/0")
    size = len(gallery.made(sample))
    share_bytes = media.memory_bytes / len(media.kinds) / _IN_BASE64
    number = _different(sum(counts), size, share_bytes, media.distinct, run)
    each = size / _extent(sample)
    entries = [make(spec, f"{seed}/{place}") for place in range(number)]
    return _Kind(name, counts, [{**one, "bytes": round(each * _extent(one))} for one in entries])


def _different(sent: int, each_bytes: float, share_bytes: float, asked: int | None, run: RunFile) -> int:
    """How many different ones: as many as are sent, within what is asked for and what the workers may hold. Where not
    every one is sent by one worker alone, each holds all of them."""
    fits = max(1, math.floor(share_bytes / each_bytes))
    wanted = min(sent, asked or USUALLY)
    if wanted == sent <= fits and not run.load.exact:
        return wanted
    return min(wanted, max(1, fits // run.load.workers))


def _extent(recipe: Recipe) -> float:
    """What the size of a file grows with."""
    if recipe["kind"] == "audio":
        return float(recipe["audio"]["seconds"])
    return float(recipe["width"] * recipe["height"] * recipe.get("seconds", 1.0))


# -- made --


def _image(spec: ImagesSpec, seed: str) -> Recipe:
    draw = Random(seed)
    return {"kind": "image", "format": spec.format, "content": spec.content, "seed": seed,
            "width": draw_length(spec.width, draw), "height": draw_length(spec.height, draw)}


def _sound(spec: AudioSpec, seed: str) -> Recipe:
    sound = piece(spec.seconds, spec.sample_rate, seed.rpartition("/")[0], Random(seed))
    return {"kind": "audio", "audio": sound.recipe()}


def _film(spec: VideoSpec, seed: str) -> Recipe:
    draw = Random(seed)
    width, height = (2 * -(-draw_length(side, draw) // 2) for side in (spec.width, spec.height))
    return {"kind": "video", "width": width, "height": height, "fps": spec.fps, "seed": seed,
            "seconds": draw_length(spec.seconds.in_ms(), draw) / 1000}


_MAKERS: dict[str, Callable[[Any, str], Recipe]] = {"images": _image, "audio": _sound, "video": _film}


# -- from files --


def _of_files(name: str, spec: Any, seed: str) -> list[Recipe]:
    """In an order that the seed decides. Raises FmloadError."""
    found = sorted({one.path for one in files.find(spec.files)})
    Random(seed).shuffle(found)
    return [_of_file(_NAMES[name], path, getattr(spec, "url", None)) for path in found]


def _of_file(kind: str, path: Path, url: str | None) -> Recipe:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FmloadError(f"{path}: {error.strerror}", hint="name files that can be read") from error
    header = header_of(data)
    if header is None or header.kind != kind:
        what = "of no known format" if header is None else f"{header.kind} ({header.format})"
        raise FmloadError(f"{path}: {what}, where {kind} is wanted",
                          hint="PNG, JPEG, GIF, WebP; WAV, MP3, FLAC, Ogg, M4A; MP4, MOV, WebM, MKV")
    if url is None:
        return {"kind": kind, "path": str(path.resolve()), "bytes": len(data)}
    return {"kind": kind, "url": f"{url}{path.name}", "format": header.format, "size": header.size,
            "seconds": header.seconds}
