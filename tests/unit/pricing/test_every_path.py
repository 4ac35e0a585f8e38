"""The same requests cost the same, to the cent, whoever computes it: report, month, summary, live, Prometheus, --as."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from fmload.config.loading import parse
from fmload.exposition.families import families
from fmload.live.counts import Counts
from fmload.live.state import LiveState
from fmload.locust.webui.view import LiveView
from fmload.master.spend import Spend
from fmload.model.prompt import Prompt
from fmload.model.record import Record, pack
from fmload.model.stage import Load, Stage
from fmload.plan.estimate import estimate, prices_of
from fmload.pricing.table import load_prices
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.published.views import view
from fmload_analysis.run import open_run
from fmload_analysis.verdict.cost import month_at
from fmload_deploy.prices import hourly_usd
from tests.handmade import BASE_NS, MS, request, stage, write

WINDOW_MS = 60_000
ENDPOINTS: list[dict[str, Any]] = [
    {"protocol": "bedrock", "model": "us.anthropic.claude-haiku-4-5-20251001-v1:0"},
    {"protocol": "bedrock", "model": "amazon.nova-pro-v1:0", "service_tier": "flex"},
    {"protocol": "bedrock", "model": "anthropic.claude-sonnet-4-5-20250929-v1:0"},
    {"protocol": "bedrock", "model": "meta.llama3-8b-instruct-v1:0", "region": "sa-east-1"},
    {"protocol": "openai", "url": "http://h/v1", "price": {"input_per_1m": 3.0, "output_per_1m": 15.0,
                                                            "instance_type": "x"}},
    {"protocol": "openai", "url": "http://h/v1", "price": {"hourly": 1.5, "count": 2}},
    {"protocol": "openai", "url": "http://h/v1", "price": {"instance_type": "g5.xlarge", "region": "eu-west-1"}},
    {"protocol": "openai", "url": "http://h/v1", "instance_type": "inf2.xlarge"}]


def requests() -> list[Record]:
    """Fresh, cached, written and long inputs; in and around the window; failed, refused, broken off, given up."""
    dice = random.Random(11)
    made = []
    for number in range(200):
        sent = -3_000 + number * 330
        fresh, cached = dice.randint(5, 400), dice.choice((0, 0, 1500))
        written, long = dice.choice((0, 500)), dice.choice((0, 0, 0, 210_000))
        columns: dict[str, Any] = {"input_tokens": fresh + cached + written + long, "cached_tokens": cached,
                                   "cache_write_tokens": written, "cache_write_1h_tokens": written // 2,
                                   "prompt_tokens": fresh + cached + written + long}
        outcome = dice.choice(("ok", "ok", "ok", "ok", "stream_error", "throttled", "cancelled"))
        if outcome == "throttled":
            columns |= {"status": 429, "input_tokens": None}
        if outcome == "stream_error":
            columns |= {"input_tokens": None, "output_tokens": None}
        chunks = [] if outcome == "throttled" else [sent + 50 + 10 * token for token in range(dice.randint(1, 40))]
        made.append(request(f"r{number}", sent, chunks, outcome=outcome, end_ms=sent + 500, **columns))
    return made


def lived() -> Stage:
    """The handmade stage as the master has it."""
    return Stage(0, 0, 0, "a", "p", Load("concurrency", 4), {}, 0, 0, WINDOW_MS / 1000, None, 1, status="done",
                 ramp_start_ns=BASE_NS - 5_000 * MS, window_start_ns=BASE_NS, window_end_ns=BASE_NS + WINDOW_MS * MS,
                 drain_end_ns=BASE_NS + (WINDOW_MS + 4_000) * MS)


@pytest.mark.parametrize("entry", ENDPOINTS, ids=lambda entry: str(entry.get("price") or entry.get("model")))
def test_the_same_run_costs_the_same_by_every_path(tmp_path: Path, entry: dict[str, Any]) -> None:
    records = requests()
    spec = {"region": "us-east-1", "endpoints": [{"name": "a", **entry}]}
    write(tmp_path, [stage(0, WINDOW_MS, concurrency=4, ramp_start_ns=BASE_NS - 5_000 * MS,
                           drain_end_ns=BASE_NS + (WINDOW_MS + 4_000) * MS)], records, spec=spec)
    run = open_run(tmp_path)
    result = analyse_run(run).results[0]
    cost, pricing = result.cost, result.pricing
    assert pricing is not None and cost.stage_usd is not None and cost.price_per_transaction is not None

    planned = parse(_run_file(entry), "run.yml", tmp_path)
    prices = prices_of(planned, load_prices())
    assert prices["a"] == pricing

    live = lived()
    spend = Spend(prices, [live])
    spend.take(map(pack, records))
    assert spend.usd() == pytest.approx(cost.stage_usd, rel=1e-12)
    state = LiveState()
    collector: Any = type("Ledger", (), {"live": state, "stages": [live], "workers": {}, "spend": spend,
                                         "max_cost": None})
    state.groups[0, "a", "p"] = Counts()
    assert LiveView(lambda: collector).rows()[0]["cost_usd"] == pytest.approx(cost.stage_usd, rel=1e-12)
    exposed = {family.name: family.samples for family in families(collector)}
    assert exposed["fmload_spent_usd"][0].value == pytest.approx(cost.stage_usd, rel=1e-12)

    row = analyse_run(run).rows()[0]
    assert (row["stage_usd"], row["price_per_transaction"]) == (cost.stage_usd, cost.price_per_transaction)
    if pricing.by_token:
        assert spend.of_stage(live).usd["useful"] == pytest.approx(
            cost.price_per_transaction * result.totals.completed, rel=1e-12)
        assert month_at("a", pricing, 1.0, None, cost.price_per_transaction).usd == pytest.approx(
            cost.price_per_transaction * 3600 * 730)
        prompt = Prompt("one", "p", "text", input_tokens=100, output_tokens=10)
        assert estimate(planned, [], {"p": [prompt]}, prices).each_usd["a", "p"] == pytest.approx(
            (100 * (pricing.input_per_1m or 0) + 10 * (pricing.output_per_1m or 0)) / 1e6)
    else:
        assert month_at("a", pricing, 1.0, 10.0).usd == pytest.approx((pricing.usd_per_hour or 0) * 730)
        per_minute = view(run, result, "fmbench")["transactions_per_minute"]
        assert view(run, result, "fmbench")["price_per_txn"] == pytest.approx(
            (pricing.usd_per_hour or 0) / 60 / (per_minute or math.nan))
        if pricing.source != "the run file":
            context: Any = type("Context", (), {"prices": None, "region": "us-east-1"})
            assert hourly_usd(context, pricing.instance_type or "", 1, region=pricing.region) == pricing.usd_per_hour


def _run_file(entry: dict[str, Any]) -> str:
    return json.dumps({"name": "r", "region": "us-east-1", "endpoints": [{"name": "a", "model": "m", **entry}],
                       "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10, "output_tokens": 10}],
                       "load": {"concurrency": [4]}})
