"""Made-up sound of drawn lengths, to be transcribed: it loads a server as speech does on the way in, and holds none."""

from __future__ import annotations

import random

from pydantic import Field

from fmload.audio.noise import STORE_S
from fmload.config.lengths import Duration, Durations
from fmload.config.model import Strict
from fmload.model.audio import Audio
from fmload.model.prompt import Prompt
from fmload.prompts.invented import Invented, Item
from fmload.prompts.lengths import draw_length
from fmload.prompts.tokenizer import Tokenizer


class Tones(Invented):
    """Sound whose length is drawn. No two requests send the same piece of it."""

    without = ("template", "filter.language")

    class Options(Strict):
        """Keys of `source: tones`."""

        seconds: Duration = Field(description="length of the sound")
        sample_rate: int = Field(16000, ge=4000, le=192_000, description="samples a second; 16 bits, one channel")

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        sound = piece(self.options.seconds, self.options.sample_rate, seed, random.Random(f"{seed}/{index}"))
        return [Prompt(id="", prompt_set=self.name, text="", audio=sound.recipe())]


def piece(seconds: Durations, rate: int, seed: str, draw: random.Random) -> Audio:
    """A piece of the seed's made-up sound, its length and its beginning drawn."""
    samples = draw_length(seconds.in_ms(), draw) * rate // 1000
    return Audio(samples / rate, seed=seed, begin=draw.randrange(STORE_S * rate), samples=samples, rate=rate)
