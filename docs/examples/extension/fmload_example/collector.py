"""A telemetry collector: the load average of the host that runs the master."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from pydantic import Field

from fmload.config.model import Strict
from fmload.config.values import Seconds
from fmload.results.samples import Sample, Window


class LoadAverageOptions(Strict):
    """Its keys."""

    every_s: Seconds = Field(1.0, alias="every", description="seconds between two samples")


class LoadAverage:
    """`collector: load_average`. One sample each time it is asked."""

    Options = LoadAverageOptions

    def __init__(self, source: str, options: LoadAverageOptions) -> None:
        self.every_s: float | None = options.every_s
        self._source = source

    def collect(self) -> Iterable[Sample]:
        return [Sample(self._source, "load_average", time.monotonic_ns(), os.getloadavg()[0])]

    def after(self, window: Window) -> Iterable[Sample]:
        return ()

    def close(self) -> None:
        """Nothing is held."""
