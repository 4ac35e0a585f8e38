from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config.loading import parse
from fmload.config.schema import RunFile
from fmload.plan.estimate import prices_of
from fmload.pricing.resolve import Pricing
from fmload.pricing.table import load_prices
from fmload.results.folder import Results
from fmload_deploy import bill, lifecycle
from fmload_deploy.base import Deployment, Plan
from fmload_deploy.ledger import Entry, Ledger
from fmload_deploy.names import name_for
from fmload_deploy.prices import instance_price
from fmload_deploy.resource import Resource

HOURLY = Resource("ec2-instance", "i", "us-east-1", hourly=6.0)
UNKNOWN = replace(HOURLY, name="u", hourly=None)


def run_file(**keys: Any) -> RunFile:
    data = {"name": "bill", "endpoints": [{"name": "e", "protocol": "openai", "url": "http://h/v1", "model": "m"}],
            "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10, "output_tokens": 10}],
            "load": {"concurrency": [1, 2], "ramp": "0s", "warmup": "0s", "window": "30m"}, **keys}
    return parse(yaml.safe_dump(data), "run.yml", Path.cwd())


def test_the_estimate_runs_from_the_start_up_to_the_end_of_the_sweep() -> None:
    plan = Plan("e", "ec2", (HOURLY,), startup_s=1800.0)
    assert bill.estimate_usd([plan], run_file()) == pytest.approx(6.0 * 1.5)


def test_a_commitment_is_owed_whole() -> None:
    assert bill.estimate_usd([Plan("e", "bedrock", (), commitment_usd=7200.0)], run_file()) == 7200.0


def test_one_unknown_price_makes_the_estimate_unknown() -> None:
    assert bill.estimate_usd([Plan("e", "ec2", (HOURLY, UNKNOWN))], run_file()) is None


def test_what_costs_nothing_is_not_asked_about() -> None:
    bill.approve([Plan("e", "local", ())], run_file(), yes=False)


def test_no_terminal_and_no_yes_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115
    with pytest.raises(FmloadError, match="--yes"):
        bill.approve([Plan("e", "ec2", (HOURLY,))], run_file(), yes=False)


def test_max_cost_refuses_a_dearer_plan_even_with_yes() -> None:
    with pytest.raises(FmloadError, match=r"about 6\.00 USD, above max_cost: 5"):
        bill.approve([Plan("e", "ec2", (HOURLY,))], run_file(max_cost=5.0), yes=True)


def test_max_cost_refuses_an_unknown_price() -> None:
    with pytest.raises(FmloadError, match="is unknown"):
        bill.approve([Plan("e", "ec2", (UNKNOWN,))], run_file(max_cost=5.0), yes=True)


def test_spent_counts_what_is_up_since_it_was_created() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    entries = [Entry(HOURLY, "e", "created", now - timedelta(hours=2)),
               Entry(replace(HOURLY, name="gone"), "e", "deleted", now - timedelta(hours=9))]
    assert bill.spent_usd(entries, now) == pytest.approx(12.0)


def test_what_an_earlier_start_of_the_run_cost_counts(tmp_path: Path) -> None:
    ledger = Ledger.begin(tmp_path / "ledger.jsonl", "run")
    lines = [("creating", 0), ("created", 1), ("deleting", 60), ("deleted", 60), ("creating", 90), ("created", 91)]
    with ledger.path.open("a") as file:
        for event, minute in lines:
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
            file.write(json.dumps({"at": at.isoformat(), "event": event, "endpoint": "e", **asdict(HOURLY)}) + "\n")
    now = datetime(2026, 1, 1, 2, 30, tzinfo=UTC)
    assert bill.spent_usd(ledger.lives(), now) == pytest.approx(6.0 * 2)  # not the half hour in between
    with pytest.raises(FmloadError, match=r"about 6\.00 USD beside the 12\.00 USD"):
        bill.approve([Plan("e", "ec2", (HOURLY,))], run_file(max_cost=15.0), yes=True, before_usd=12.0)
    bill.approve([Plan("e", "ec2", (HOURLY,))], run_file(max_cost=15.0), yes=True, before_usd=8.0)


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN], ids=["foreground", "background"])
def test_the_bill_interrupts_the_run_before_it_passes_the_limit(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, before: Any) -> None:
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, before)))
    monkeypatch.setattr(bill, "_LOOK_EVERY_S", 0.01)
    context = lifecycle.context_for(run_file(), Results(tmp_path), say=lambda _: None)
    context.ledger.write("created", replace(HOURLY, hourly=36_000.0), "e")  # ten dollars a second
    with pytest.raises(KeyboardInterrupt), bill.limited(context, 3000.2):
        for _ in range(10_000):
            time.sleep(0.001)
    assert context.stop.is_set()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("given", "usd"), [
    ({"hourly": 2.0}, 6.0), ({"region": "us-east-1"}, 3 * 1.006), ({"hourly": 2.0, "count": 1}, 2.0),
    ({"input_per_1m": 1.0, "output_per_1m": 2.0}, None), ({"model": "amazon.nova-lite-v1:0"}, None)])
def test_a_given_price_is_of_all_that_was_deployed(given: dict[str, Any], usd: float | None) -> None:
    made = Deployment("e", {"url": "http://h/v1"}, (), {"price": instance_price("g5.xlarge", 3, "us-west-2")})
    spec = {"name": "e", "protocol": "openai", "url": "http://h/v1", "model": "m", "price": given}
    ready = lifecycle.with_addresses(run_file(endpoints=[spec]), {"e": made})
    found = prices_of(ready, load_prices())["e"]
    assert isinstance(found, Pricing) and found.usd_per_hour == (usd and pytest.approx(usd))


@pytest.mark.parametrize(("given", "usd"), [
    ({"price": {"hourly": 2.0}}, 4.0), ({"price": {"hourly": 2.0, "count": 1}}, 2.0),
    ({"price": {"instance_type": "g5.xlarge"}}, 2 * 1.006), ({"instance_type": "g5.xlarge"}, 2 * 1.006),
    ({"price": {"input_per_1m": 1.0, "output_per_1m": 2.0}}, None)])
def test_every_process_of_a_local_deployment_is_an_instance_that_is_paid_for(given: dict[str, Any],
                                                                             usd: float | None) -> None:
    made = Deployment("e", {"urls": ["http://h:1/v1", "http://h:2/v1"]}, ())
    spec = {"name": "e", "protocol": "openai", "model": "m", **given,
            "deploy": {"target": "local", "emulator": "steady", "instance_count": 2}}
    ready = lifecycle.with_addresses(run_file(endpoints=[spec]), {"e": made})
    found = prices_of(ready, load_prices())["e"]
    assert isinstance(found, Pricing) and found.usd_per_hour == (usd and pytest.approx(usd))


def test_a_local_deployment_that_names_no_price_has_none() -> None:
    spec = {"name": "e", "protocol": "openai", "model": "m",
            "deploy": {"target": "local", "emulator": "steady", "instance_count": 2}}
    ready = lifecycle.with_addresses(run_file(endpoints=[spec]), {"e": Deployment("e", {"url": "http://h/v1"}, ())})
    assert ready.endpoints[0].price is None


def test_names_differ_by_run_and_by_endpoint_and_stay_within_the_limit() -> None:
    names = {name_for(run, endpoint, 40) for run in ("a", "b") for endpoint in ("x" * 80, "y" * 80, "Ä.b_c")}
    assert len(names) == 6
    assert all(len(name) <= 40 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)
    assert name_for("a", "x") == name_for("a", "x")
