"""What a price table lacks, what is old in it, and what contradicts, in lines; and what other tables say."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from fmload.base.resources import resource
from fmload.pricing.checking import contradictions, missing, old
from fmload.pricing.table import PriceTable, load_prices, read_table


def table(*groups: tuple[str, dict[str, float]]) -> PriceTable:
    return PriceTable(tuple({"source": f"of {day}", "date": day, "region": "us-east-1", "prices": prices}
                            for day, prices in groups))


def test_what_is_older_than_asked_is_old() -> None:
    found = table(("2026-01-01", {"a": 1.0}), ("2026-06-01", {"b": 1.0}))
    assert old(found, date(2026, 6, 30), 90) == ["us-east-1: 1 prices of 2026-01-01, of 2026-01-01"]


def test_two_prices_of_one_thing_contradict_unless_rounding_explains_it() -> None:
    found = table(("2026-06-01", {"a": 1.408, "b": 1.0}), ("2026-01-01", {"a": 1.41, "b": 1.2}))
    assert contradictions(found) == [
        "b (us-east-1, on_demand, USD/h): 1 of 2026-06-01 (of 2026-06-01), 1.2 of 2026-01-01 (of 2026-01-01)"]


def test_the_shipped_table_contradicts_itself_only_where_prices_were_cut() -> None:
    known = ("p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge", "ml.p4d.24xlarge", "ml.p5.48xlarge")
    assert [line for line in contradictions(load_prices()) if not line.startswith(known)] == []


def test_what_a_run_file_lacks_has_its_reason_and_remedy() -> None:
    entries = [{"name": "known", "price": {"instance_type": "g5.xlarge"}},
               {"name": "far", "price": {"instance_type": "ml.g5.xlarge"}}]
    line, = missing(entries, "eu-west-1", load_prices())
    assert line.startswith("endpoint 'far': the price table has no ml.g5.xlarge in eu-west-1")
    assert "prices refresh --region eu-west-1" in line


def elsewhere(source: str) -> list[tuple[str, str, float, float]]:
    """Type, region, their price, ours: of a public table that our rows were not taken from."""
    ours = load_prices()
    rows = []
    for line in (Path(__file__).parent / "ec2_prices_elsewhere.txt").read_text().splitlines():
        if line.startswith(source):
            _, instance_type, region, usd = line.split()
            quote = ours.hourly(instance_type, region)
            assert quote is not None, line
            if source not in quote.source:
                rows.append((instance_type, region, float(usd), quote.usd))
    return rows


def test_prices_agree_with_another_read_of_the_same_half_year() -> None:
    rows = elsewhere("vantage")
    assert len(rows) >= 60
    assert [row for row in rows if abs(row[2] - row[3]) > 0.0001 * row[3]] == []


def test_prices_of_nine_regions_agree_with_a_table_that_mixes_in_dedicated_hosts() -> None:
    """libcloud's table keeps one price a type and region, in places that of dedicated tenancy (5 to 10 % more)."""
    rows = elsewhere("libcloud")
    differing = [row for row in rows if abs(row[2] - row[3]) > 0.0005 * row[3]]
    assert (len(rows), len(differing)) == (177, 41)
    assert all(1.04 < theirs / ours < 1.11 for _, _, theirs, ours in differing)


def test_nothing_is_wrong_in_the_shipped_table() -> None:
    read_table(resource("configs", "prices.yml"))  # every run reads it without looking for that
