"""The cost section: why a price is unknown, other options side by side, and a run that its budget ended."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fmload.pricing.resolve import Price
from fmload_analysis.document.document import Bullets, Paragraph, Table
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import cost
from fmload_analysis.run import open_run
from tests.handmade import request, stage, write

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


def blocks(root: Path, endpoint: dict[str, Any], **columns: Any) -> list[Any]:
    records = [request(f"r{n}", 16 * n, [16 * n + 4, 16 * n + 16], **columns) for n in range(-10, 70)]
    write(root, [stage(0, 1000)], records, spec={"region": "us-east-1", "endpoints": [{"name": "a", **endpoint}]})
    section = cost.render(analyse_run(open_run(root)))
    assert section is not None
    return list(section.blocks)


def table(found: list[Any], caption: str) -> list[dict[str, str]]:
    one = next(block for block in found if isinstance(block, Table) and caption in block.caption)
    return [{column.label: cell.text for column, cell in zip(one.columns, row, strict=True)} for row in one.rows]


def test_an_unknown_price_has_its_reason_and_remedy(tmp_path: Path) -> None:
    found = blocks(tmp_path, {"protocol": "bedrock", "model": HAIKU, "service_tier": "flex"})
    told, = next(block for block in found if isinstance(block, Bullets)).items
    assert told.startswith("a: n/a, as the price table has no tier flex") and "To have it:" in told


def test_tiers_and_the_cache_stand_side_by_side(tmp_path: Path) -> None:
    counts = {"input_tokens": 2010, "cached_tokens": 1500, "cache_write_tokens": 500, "output_tokens": 10}
    rows = table(blocks(tmp_path, {"protocol": "bedrock", "model": HAIKU}, **counts), "other prices")
    assert [(row["As"], row["Per 10k"]) for row in rows] == [
        ("as paid (default tier)", "$9.19"), ("tier batch, no price of cached tokens", "$11.33"),
        ("without a cache", "$22.66")]


def test_a_stream_that_broke_off_having_read_from_a_cache_costs_no_less_than_nothing(tmp_path: Path) -> None:
    counts = {"input_tokens": None, "output_tokens": None, "prompt_tokens": 10, "cached_tokens": 1500,
              "cache_write_tokens": 500, "outcome": "stream_error"}
    [row] = table(blocks(tmp_path, {"protocol": "bedrock", "model": HAIKU}, **counts), "Where it went")
    each = (1500 * 0.11 + 500 * 1.375 + 2 * 5.5) / 1e6  # what it had read, written and sent
    assert float(row["Paid"].replace("$", "")) == pytest.approx(80 * each, rel=0.01)
    assert "-" not in row["Failed"]


@pytest.mark.parametrize(("outcome", "paid_for"), [("ok", "Useful"), ("http_5xx", "Failed"), ("cancelled", "Given up")])
def test_of_hours_in_which_no_request_ended_well_nothing_was_useful(
        tmp_path: Path, outcome: str, paid_for: str) -> None:
    [row] = table(blocks(tmp_path, {"price": {"hourly": 36}}, outcome=outcome), "Where it went")
    parts = {name: row[name] for name in ("Useful", "Failed", "Given up")}
    assert [name for name, usd in parts.items() if usd not in ("$0.00", "n/a")] == [paid_for], row


UNITS = [column.name for column in fields(Price) if column.name.endswith(("_per_1m", "_minute", "_image"))
         or column.name.startswith("per_1")]


@pytest.mark.parametrize("key", UNITS)
def test_every_price_that_the_run_file_gives_stands_in_the_table_of_prices(tmp_path: Path, key: str) -> None:
    price = {"input_per_1m": 3, "output_per_1m": 15, key: 7.25}
    [row] = table(blocks(tmp_path, {"price": price}), "**Prices**")
    assert "7.25" in row.values()


def test_prices_of_tenants_stand_below_that_of_their_endpoint(tmp_path: Path) -> None:
    tenants = [{"name": "gold", "price": {"input_per_1m": 30, "output_per_1m": 150}}, {"name": "free"},
               {"name": "slow", "service_tier": "flex"}]
    write(tmp_path, [stage(0, 1000)], [request("r", 0, [4, 16], tenant="gold")], spec={
        "endpoints": [{"name": "a", "price": {"input_per_1m": 3, "output_per_1m": 15}}], "tenants": tenants})
    section = cost.render(analyse_run(open_run(tmp_path)))
    assert section is not None
    rows = table(list(section.blocks), "**Prices**")
    assert [(row["Endpoint"], row["Output"]) for row in rows] == [("a", "15"), ("a: gold", "150"), ("a: slow", "")]
    assert rows[2]["Source"] == "n/a"


def test_purchase_options_stand_side_by_side(tmp_path: Path) -> None:
    rows = table(blocks(tmp_path, {"price": {"instance_type": "g5.xlarge"}}), "other prices")
    assert [(row["As"], row["Against now"]) for row in rows] == [("as paid (on demand)", "100"), ("reserved 1yr", "63")]


def test_a_run_that_its_budget_ended_says_so(tmp_path: Path) -> None:
    write(tmp_path, [stage(0, 1000)], [request("r", 10, [15])]).events_jsonl.write_text(
        json.dumps({"at_ns": 1, "kind": "budget", "stage": 0, "detail": "max_cost is about to be passed"}) + "\n")
    section = cost.render(analyse_run(open_run(tmp_path)))
    assert section is not None
    assert any("stopped by its budget" in block.text for block in section.blocks if isinstance(block, Paragraph))


def paragraphs(root: Path, price: dict[str, Any], **fleet: Any) -> str:
    root.mkdir(parents=True, exist_ok=True)
    (root / "fleet.json").write_text(json.dumps({"name": "big", "target": "ec2", "workers": 40, "hosts": 11,
                                                 "instance_types": ["c7i.xlarge"], "usd": 1.25, "hourly_usd": 1.96,
                                                 **fleet}))
    return "\n".join(block.text for block in blocks(root, {"price": price}) if isinstance(block, Paragraph))


def test_what_the_load_cost_stands_beside_the_prices_and_in_none_of_them(tmp_path: Path) -> None:
    told = paragraphs(tmp_path / "with", {"instance_type": "g5.xlarge"})
    assert "fleet big on ec2 (11 × c7i.xlarge), cost $1.25 at $1.96 an hour" in told
    (tmp_path / "without").mkdir()
    without = [block.text for block in blocks(tmp_path / "without", {"price": {"instance_type": "g5.xlarge"}})
               if isinstance(block, Paragraph)]
    assert without[0] == told.partition("\n")[0]  # the run's own total is the same


def test_a_fleet_file_from_elsewhere_says_nothing_that_names_cannot_say(tmp_path: Path) -> None:
    assert "<" not in paragraphs(tmp_path, {"instance_type": "g5.xlarge"}, name="<b>x</b>[a](http://b)")


@pytest.mark.parametrize("fleet", [{"usd": "much"}, {"hosts": None}, {"instance_types": 3}])
def test_a_fleet_file_that_is_none_is_passed_over(tmp_path: Path, fleet: dict[str, Any]) -> None:
    assert "The load itself" not in paragraphs(tmp_path, {"instance_type": "g5.xlarge"}, **fleet)
