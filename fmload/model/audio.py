"""Sound to be transcribed, as a recipe: what a prompt holds in its place, and workers make bytes of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Audio:
    """Either a file (`path`), whose length is `seconds`, or so many seconds of made-up sound: `samples` at `rate` a
    second, the piece that begins at sample `begin` of the noise of `seed`. Made-up sound holds no speech."""

    seconds: float
    path: str | None = None
    seed: str = ""
    begin: int = 0
    samples: int = 0
    rate: int = 16000

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> Audio:
        """The recipe that a prompt holds. Raises TypeError for one that `recipe` did not make."""
        return cls(**recipe)

    def recipe(self) -> dict[str, Any]:
        """As a prompt's file has it."""
        return asdict(self) if self.path is None else {"seconds": self.seconds, "path": self.path}

    @property
    def speech(self) -> bool:
        """Whether it is taken to hold speech: an empty transcript of it is none."""
        return self.path is not None
