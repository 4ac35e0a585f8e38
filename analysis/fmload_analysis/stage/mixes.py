"""Components of a mix: each a stage of its own, which share a step, and perhaps an endpoint and its price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmload.metrics.definitions import ratio
from fmload.pricing.spend import part_of_hours

if TYPE_CHECKING:
    from fmload_analysis.stage.summarize import StageSummary


@dataclass(frozen=True, slots=True)
class Part:
    """What one component is of its mix. `asked` is its share by weight, `started` its arrivals of `all_started`: its
    requests, or its sessions where it has those (`sessions`: some component has).

    `of_endpoint`: the share that it bears of its endpoint's price by the hour: of the time that requests were in flight
    there. The shares of one endpoint sum up to 1, so that its hours are paid once.
    """

    asked: float
    started: int
    all_started: int
    of_endpoint: float
    sessions: bool = False


def part_of(summary: StageSummary, summaries: Iterable[StageSummary]) -> Part | None:
    """None of a stage that is no component."""
    if summary.stage.mix is None:
        return None
    mix = components(summary, summaries)
    here = [one for one in mix if one.stage.endpoint == summary.stage.endpoint]
    return Part(summary.stage.mix.share, arrived(summary), sum(map(arrived, mix)),
                part_of_hours(summary.totals.in_flight_s, [one.totals.in_flight_s for one in here]),
                any(one.stage.load.sessions for one in mix))


def arrived(summary: StageSummary) -> int:
    """What a component's weight is a share of: sessions that began in the window, of whole sessions; else requests."""
    if summary.stage.load.sessions:
        return summary.sessions.begun if summary.sessions is not None else 0
    return summary.totals.started


def components(summary: StageSummary, summaries: Iterable[StageSummary]) -> list[StageSummary]:
    """The components that ran beside each other, this one among them; those of another attempt are not."""
    first = summary.stage.mix.first if summary.stage.mix else None
    return [one for one in summaries if one.stage.mix is not None and one.stage.mix.first == first
            and one.stage.status == summary.stage.status]


def per_million(usd_per_hour: float | None, tokens_per_s: float) -> float | None:
    """USD for a million tokens at so many a second."""
    return None if usd_per_hour is None else ratio(usd_per_hour / 3600 * 1e6, tokens_per_s)


def whole(values: Sequence[float | None]) -> float | None:
    """The sum; None when one is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
