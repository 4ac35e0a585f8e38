"""What the emulator can imitate: one entry a serving stack on an instance type, with its source and how it was fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fmload.emulator.engine import BatchEngine, BatchModel, Engine, SteadyEngine


@dataclass(frozen=True, slots=True)
class Profile:
    """`model` None: fixed times, `ttft_s` and `gap_s`. `source` says where the figures come from."""

    name: str
    source: str
    served_model: str = "emulated"
    model: BatchModel | None = None
    ttft_s: float = 0.2
    gap_s: float = 0.02
    jitter: float = 0.0

    def engine(self, seed: int) -> Engine:
        """A new engine of this profile."""
        if self.model is None:
            return SteadyEngine(self.ttft_s, self.gap_s, self.jitter, seed)
        return BatchEngine(self.model, seed)

    def changed(self, **values: float | None) -> Profile:
        """The same profile with the model's figures that are not None replaced."""
        given = {name: value for name, value in values.items() if value is not None}
        if self.model is None or not given:
            return self
        return replace(self, model=replace(self.model, **given))  # type: ignore[arg-type]


def steady(profile: Profile, ttft_s: float | None, gap_s: float | None, jitter: float | None) -> Profile:
    """The profile with other fixed times; None leaves one as it is."""
    return replace(profile, ttft_s=profile.ttft_s if ttft_s is None else ttft_s,
                   gap_s=profile.gap_s if gap_s is None else gap_s,
                   jitter=profile.jitter if jitter is None else jitter)


_ALL = [
    Profile("steady", "no engine: every token at a fixed time, for calibration"),
    Profile("instant", "no engine: every token as soon as it can be written", ttft_s=0.0, gap_s=0.0),
]

PROFILES = {profile.name: profile for profile in _ALL}
