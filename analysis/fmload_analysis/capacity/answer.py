"""The answer of a capacity plan: every option, what it needs and what it costs; and the same as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fmload.base.errors import Faults, FmloadError
from fmload.config.objectives import Objective
from fmload.plan.tenant_prices import tenant_prices
from fmload.pricing.resolve import Pricing, Unpriced, resolve
from fmload.pricing.table import PriceTable, load_prices
from fmload_analysis.capacity.demand import Demand, demand_of
from fmload_analysis.capacity.demand_file import DemandFile
from fmload_analysis.capacity.evidence import Floats, Seen, seen
from fmload_analysis.capacity.fit import Fitted, fit
from fmload_analysis.capacity.money import ByToken, by_model, by_pricing, month_usd, requests_per_month
from fmload_analysis.capacity.plan import Plan, plan
from fmload_analysis.capacity.trial import Settings
from fmload_analysis.document import formats
from fmload_analysis.run import Run

_SHARE_OFF = 0.033  # that may be left of simulating a share: more is told
_FEWER = 0.5  # of the failures that there are in the long run: fewer are told
_BEYOND = 0.05  # of what the rate calls for: more than that is told


@dataclass(frozen=True, slots=True)
class Option:
    """One endpoint as a replica. `usd_per_hour` is of one; `remarks` are what the demand asks beyond what was
    measured."""

    name: str
    instance_type: str | None
    emulated: str | None
    fitted: Fitted
    plan: Plan
    usd_per_hour: float | None
    price_source: str
    remarks: tuple[str, ...]

    @property
    def month_usd(self) -> float | None:
        """What the replicas that are needed cost a month, all the time."""
        return month_usd(self.plan.best.replicas if self.plan.best else None, self.usd_per_hour)

    @property
    def scaled_month_usd(self) -> float | None:
        """With autoscaling; None without."""
        return month_usd(self.plan.paid_replicas, self.usd_per_hour) if self.plan.scaled else None


@dataclass(frozen=True, slots=True)
class Answer:
    """Options in the order in which they were named; `unjudged` are objectives that a simulation cannot judge."""

    demand: Demand
    settings: Settings
    objectives: tuple[Objective, ...]
    unjudged: tuple[str, ...]
    options: tuple[Option, ...]
    by_token: tuple[ByToken, ...]

    @property
    def requests_per_month(self) -> float:
        """Requests in 730 hours."""
        return requests_per_month(self.demand)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan is asked for; `endpoints` empty: all of every run."""

    spec: DemandFile
    text: str
    objectives: tuple[Objective, ...]
    unjudged: tuple[str, ...]
    settings: Settings
    endpoints: tuple[str, ...] = ()
    token_models: tuple[str, ...] = ()


def answer(runs: Sequence[Run], asked: Asked, tell: Callable[[str], None] = lambda said: None) -> Answer:
    """Fit, plan and price every endpoint of the runs. Raises FmloadError for all that cannot be planned with, in one
    pass."""
    chosen = _chosen(runs, asked.endpoints)
    found: list[tuple[str, Run, str, list[Seen], Pricing | Unpriced, Fitted | None]] = []
    faults = Faults()
    for title, (run, name) in zip(_titles(chosen), chosen, strict=True):
        with faults.kept():
            stages = seen(run, name)
            if not isinstance(priced := _priced(run, name), Pricing) or not priced.by_token:
                found.append((title, run, name, stages, priced, fit(title, stages, tell)))
            else:
                found.append((title, run, name, stages, priced, None))
    faults.check()
    demand = demand_of(asked.spec, asked.text, *_lengths([stages for _, _, _, stages, _, _ in found]))
    options, tokens = [], []
    for title, run, name, stages, priced, fitted in found:
        if fitted is None:
            tokens.append(by_pricing(title, priced, demand))
        else:
            options.append(_option(title, run, name, stages, priced, fitted, demand, asked, tell))
    table = _table(runs[0])
    tokens += [by_model(model, runs[0].spec.get("region"), demand, table) for model in asked.token_models]
    return Answer(demand, asked.settings, asked.objectives, asked.unjudged, tuple(options), tuple(tokens))


def _chosen(runs: Sequence[Run], endpoints: Sequence[str]) -> list[tuple[Run, str]]:
    once = {run.results.root.resolve(): run for run in runs}.values()
    known = [(run, name) for run in once for name in dict.fromkeys(stage.endpoint for stage in run.stages)]
    faults = Faults()
    for name in endpoints:
        if name not in [of for _, of in known]:
            faults.add(FmloadError(f"--endpoint {name}: no stage of it was measured",
                                   hint=f"there are {', '.join(dict.fromkeys(of for _, of in known))}"))
    faults.check()
    return [(run, name) for run, name in known if not endpoints or name in endpoints]


def _titles(chosen: Sequence[tuple[Run, str]]) -> list[str]:
    """What tells each option from the others: its endpoint, with its run where several have one of that name, or with
    its folder where runs are of one name, too."""
    ways: list[Callable[[Run, str], str]] = [
        lambda run, name: name, lambda run, name: f"{run.name} · {name}",
        lambda run, name: f"{run.results.root.name} · {name}", lambda run, name: f"{run.results.root} · {name}"]
    every = [[way(*one) for way in ways] for one in chosen]
    return [next((title for place, title in enumerate(titles) if [one[place] for one in every].count(title) == 1),
                 titles[-1]) for titles in every]


def _table(run: Run) -> PriceTable:
    own = run.spec.get("prices")
    return load_prices(Path(own) if own else None)


def _priced(run: Run, name: str) -> Pricing | Unpriced:
    table = _table(run)
    found = resolve(run.endpoint(name).terms, table)
    return found if isinstance(found, Unpriced) else replace(found, of_tenants=tenant_prices(
        run.entry(name), run.tenants, found, table, run.spec.get("region")))


def _lengths(stages: Sequence[Sequence[Seen]]) -> tuple[Floats, Floats]:
    """The lengths of all requests that were answered, of those whose prompt was counted where there are any: input and
    output tokens."""
    every = [one for some in stages for one in some]
    if not every:
        return np.array([1.0]), np.array([1.0])
    inputs, outputs = (np.concatenate([getattr(one, name) for one in every])
                       for name in ("input_tokens", "output_tokens"))
    counted = (inputs > 0) | (not inputs.any())
    return inputs[counted], outputs[counted]


def _option(title: str, run: Run, name: str, stages: Sequence[Seen], priced: Pricing | Unpriced, fitted: Fitted,
            demand: Demand, asked: Asked, tell: Callable[[str], None]) -> Option:
    found = plan(fitted.model, demand, asked.objectives, asked.settings, lambda said: tell(f"{title}: {said}"))
    endpoint = run.endpoint(name)
    addresses = len({one.address for one in stages})
    usd_per_hour = priced.usd_per_hour if isinstance(priced, Pricing) else None
    hourly = None if usd_per_hour is None else usd_per_hour / addresses
    source = priced.source if isinstance(priced, Pricing) else str(priced)
    return Option(title, endpoint.instance_type, endpoint.emulated or _emulator(run, name), fitted, found, hourly,
                  source, (*_remarks(fitted, demand, found), *_of_failures(found, asked.settings),
                           *_of_autoscaling(found)))


def _emulator(run: Run, name: str) -> str | None:
    """The profile of an emulator that the run file deploys."""
    deployed = next((one.get("deploy") for one in run.spec.get("endpoints") or [] if one.get("name") == name), None)
    return str(deployed["emulator"]) if isinstance(deployed, dict) and deployed.get("emulator") else None


def _remarks(fitted: Fitted, demand: Demand, found: Plan) -> list[str]:
    told = []
    for what, values, (least, most) in (("prompts", demand.inputs, fitted.input_tokens),
                                        ("answers", demand.outputs, fitted.output_tokens)):
        beyond = float(((values > 1.05 * most) | (values < 0.95 * least)).mean())
        if beyond > 0.01:
            told.append(f"{beyond:.0%} of the demand's {what} are longer or shorter than any that was measured "
                        f"({least:.0f} to {most:.0f} tokens): their times are extrapolated")
    if found.share_left > _SHARE_OFF:
        told.append(f"figures may be some {found.share_left:.0%} off those of the whole fleet, as a share of it is "
                    "simulated: simulate more (--simulate)")
    return told


def _of_failures(found: Plan, settings: Settings) -> Iterator[str]:
    """Where chance drew far fewer than there are in the long run."""
    if not settings.mtbf_s or not found.best:
        return
    down, usual = found.best.figures["down"].value, 1 - settings.up
    told = (f"in the long run each is down for {formats.percent(usual)} of the time. --lose 1 shows what one that "
            "fails does; more --seeds see more of them")
    if not down:
        yield f"no replica was down in what was simulated, which is short beside --mtbf; {told}"
    elif down < _FEWER * usual:
        yield f"replicas were down for {formats.percent(down)} of what was simulated; {told}"


def _of_autoscaling(found: Plan) -> Iterator[str]:
    """What the rule pays for beyond what the rate calls for, as arrivals come by chance; a share of a fleet overstates
    it."""
    scaled, day = found.scaled, found.day
    if scaled is None or day is None or scaled.window is None or scaled.share < 1:
        return
    inside = (day.at_s >= scaled.window.begin_s) & (day.at_s <= scaled.window.end_s)
    paid, called_for = scaled.figures["paid_replicas"].value, float(day.paid[inside].mean())
    if paid > (1 + _BEYOND) * called_for:
        yield (f"with autoscaling {paid:.3g} replicas were paid for in the simulated part, where the rate calls for "
               f"{called_for:.3g}: arrivals by chance call for more, and a month may cost {paid / called_for - 1:.0%} "
               "more than is told")


def as_json(found: Answer) -> dict[str, Any]:
    """Everything as JSON, NaN as null: what the report's section and other programs read."""
    demand = found.demand
    whole: dict[str, Any] = {
        "schema": 1,
        "demand": {"text": demand.text, "mean_per_s": demand.mean_per_s, "peak_per_s": demand.peak_per_s,
                   "requests_per_month": found.requests_per_month, "input_tokens_mean": float(demand.inputs.mean()),
                   "output_tokens_mean": float(demand.outputs.mean())},
        "settings": asdict(found.settings),
        "objectives": {one.name: one.limit for one in found.objectives}, "unjudged": list(found.unjudged),
        "options": [_option_json(one) for one in found.options],
        "by_token": [asdict(one) for one in found.by_token]}
    cleaned: dict[str, Any] = _clean(whole)
    return cleaned


def _option_json(option: Option) -> dict[str, Any]:
    best, scaled = option.plan.best, option.plan.scaled
    return {
        "name": option.name, "instance_type": option.instance_type, "emulated": option.emulated,
        "replicas": best.replicas if best else None, "usd_per_hour": option.usd_per_hour,
        "usd_per_month": option.month_usd, "price_source": option.price_source,
        "autoscaled": None if scaled is None else {
            "mean_replicas": option.plan.paid_replicas, "usd_per_month": option.scaled_month_usd,
            "keeps": scaled.keeps, **_tried_json(scaled), "share": scaled.share,
            "looks": [asdict(look) for look in scaled.looks]},
        "fleets": [{"keeps": one.keeps, **_tried_json(one)} for one in option.plan.tried],
        "window": asdict(option.plan.window), "share_error": option.plan.share_error,
        "model": asdict(option.fitted.model), "fit_error": option.fitted.error,
        "fit": [{**asdict(row), "error": row.error} for row in option.fitted.rows],
        "warnings": [*option.fitted.warnings, *option.remarks]}


def _tried_json(one: Any) -> dict[str, Any]:
    return {"replicas": one.replicas, "simulated": one.simulated,
            "figures": {name: asdict(value) for name, value in one.figures.items()},
            "objectives": {row.name: row.result for row in one.rows}}


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _clean(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
