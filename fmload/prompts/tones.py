"""Made-up sound of drawn lengths, to be transcribed: it loads a server as speech does on the way in, and holds none."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from fmload.audio.noise import STORE_S
from fmload.base.units import parse_duration_s
from fmload.config.model import Rule, Strict, also
from fmload.config.schema import Distribution
from fmload.config.values import Seconds
from fmload.model.audio import Audio
from fmload.model.prompt import Prompt
from fmload.prompts.invented import Invented, Item
from fmload.prompts.lengths import draw_length
from fmload.prompts.tokenizer import Tokenizer

LONGEST_S = 7200.0  # of one request: 230 MB at 16,000 samples a second


class Durations(Strict):
    """Seconds of sound: `{mean, stddev}`, `{min, max}`, or one duration in place of the mapping."""

    kind: Literal["normal", "uniform", "lognormal", "fixed"] | None = Field(
        None, description="normal with a mean, else uniform")
    mean: Seconds | None = Field(None, gt=0, le=LONGEST_S)
    stddev: Seconds = Field(0, ge=0, le=LONGEST_S)
    min: Seconds | None = Field(None, ge=0.01, le=LONGEST_S, description="shorter draws are drawn again")
    max: Seconds | None = Field(None, ge=0.01, le=LONGEST_S, description="longer draws are drawn again")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        values = {key: _milliseconds(value) for key, value in given.items()}
        for place, wrong in Distribution.rules(values):
            yield place, wrong.replace(f"{values.get('min')} is above max, {values.get('max')}",
                                       f"{given.get('min')} is above max, {given.get('max')}")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "string", "examples": ["10s", "1m30s"]})

    def in_ms(self) -> Distribution:
        """The same, in whole milliseconds."""
        def ms(seconds: float | None) -> int | None:
            return None if seconds is None else round(seconds * 1000)

        return Distribution(kind=self.kind, mean=ms(self.mean), stddev=self.stddev * 1000, min=ms(self.min),
                            max=ms(self.max) or round(LONGEST_S * 1000))


def _milliseconds(value: object) -> object:
    """A duration as a whole number; what is none is told elsewhere."""
    try:
        return round(parse_duration_s(value) * 1000) if isinstance(value, str) else value
    except ValueError:
        return value


def _fixed(value: object) -> object:
    return {"kind": "fixed", "mean": value} if isinstance(value, str | int | float) else value


class Tones(Invented):
    """Sound whose length is drawn. No two requests send the same piece of it."""

    without = ("template", "filter.language")

    class Options(Strict):
        """Keys of `source: tones`."""

        seconds: Annotated[Durations, BeforeValidator(_fixed)] = Field(description="length of the sound")
        sample_rate: int = Field(16000, ge=4000, le=192_000, description="samples a second; 16 bits, one channel")

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        draw, rate = random.Random(f"{seed}/{index}"), self.options.sample_rate
        samples = draw_length(self.options.seconds.in_ms(), draw) * rate // 1000
        sound = Audio(samples / rate, seed=seed, begin=draw.randrange(STORE_S * rate), samples=samples, rate=rate)
        return [Prompt(id="", prompt_set=self.name, text="", audio=sound.recipe())]
