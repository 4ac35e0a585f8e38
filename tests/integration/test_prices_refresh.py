"""`fmload prices refresh` through an unmodified boto3 against a Price List API that speaks its protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fmload.cli.main import main
from fmload.pricing.table import load_prices

ON_DEMAND = {"inf2.xlarge": ["0.7582"], "g5.xlarge": ["1.006"], "ml.inf2.xlarge": ["0.99"], "twice.xlarge": ["1", "2"]}
RESERVED = {"g5.xlarge": "0.634"}


class PriceList(BaseHTTPRequestHandler):
    """AWSPriceListService.GetProducts, JSON 1.1, one product a page."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.queries.append(query)  # type: ignore[attr-defined]
        wanted = {found["Field"]: found["Value"] for found in query["Filters"]}
        name = wanted.get("instanceType") or wanted.get("instanceName", "")
        known = ON_DEMAND.get(name, []) if wanted["regionCode"] == "us-east-1" else []
        page = int(query.get("NextToken", 0))
        answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": [
            json.dumps(product(name, price)) for price in known[page:page + 1]]}
        if page + 1 < len(known):
            answer["NextToken"] = str(page + 1)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def product(name: str, price: str) -> dict[str, Any]:
    """An offer as the API gives it: on demand by the hour, a free dimension, and reserved terms."""
    terms: dict[str, Any] = {"OnDemand": {"S.T": {"priceDimensions": {
        "S.T.1": {"unit": "Hrs", "pricePerUnit": {"USD": price}},
        "S.T.2": {"unit": "Hrs", "pricePerUnit": {"USD": "0"}}}}}}
    if name in RESERVED:
        terms["Reserved"] = {
            f"S.{option}": {"termAttributes": {"LeaseContractLength": "1yr", "OfferingClass": "standard",
                                               "PurchaseOption": option},
                            "priceDimensions": {"d": {"unit": unit, "pricePerUnit": {"USD": usd}}}}
            for option, unit, usd in (("No Upfront", "Hrs", RESERVED[name]), ("All Upfront", "Quantity", "5000"))}
    return {"product": {"sku": "S", "attributes": {"instanceType": name}}, "terms": terms}


@pytest.fixture
def price_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), PriceList)
    server.queries = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    yield server.queries  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join(10)


def refresh(out: Path, *types: str, region: str = "us-east-1") -> int:
    return main(["prices", "refresh", "--region", region, "--types", ",".join(types), "--out", str(out)])


def test_refreshed_prices_go_before_the_shipped_ones(price_list: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "prices.yml"
    assert refresh(out, "inf2.xlarge", "g5.xlarge", "ml.inf2.xlarge") == 0
    table = load_prices(out)
    quote = table.hourly("ml.inf2.xlarge", "us-east-1")
    assert quote is not None
    assert (quote.usd, quote.source) == (0.99, "AWS Price List API")
    reserved = table.hourly("g5.xlarge", "us-east-1", "reserved_1yr")
    assert reserved is not None and reserved.usd == 0.634
    assert table.hourly("inf2.xlarge", "us-east-1", "reserved_1yr") is None


def test_each_service_is_asked_with_its_own_filters(price_list: list[dict[str, Any]], tmp_path: Path) -> None:
    refresh(tmp_path / "p.yml", "inf2.xlarge", "ml.inf2.xlarge")
    ec2, sagemaker = price_list
    fields = {found["Field"]: found["Value"] for found in ec2["Filters"]}
    assert ec2["ServiceCode"] == "AmazonEC2"
    assert (fields["tenancy"], fields["operatingSystem"], fields["capacitystatus"]) == ("Shared", "Linux", "Used")
    assert sagemaker["ServiceCode"] == "AmazonSageMaker"
    assert {"Type": "TERM_MATCH", "Field": "component", "Value": "Hosting"} in sagemaker["Filters"]


def test_several_prices_on_several_pages_are_an_error(price_list: list[dict[str, Any]], tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    assert refresh(tmp_path / "p.yml", "twice.xlarge") == 2
    assert "several on_demand prices: 1, 2" in capsys.readouterr().err
    assert not (tmp_path / "p.yml").exists()


def test_what_is_not_sold_is_told_and_left_out(price_list: list[dict[str, Any]], tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.yml"
    assert refresh(out, "inf2.xlarge", "none.xlarge") == 0
    assert "not sold on demand in us-east-1: none.xlarge" in capsys.readouterr().out
    assert "none.xlarge" not in out.read_text()


def test_a_region_without_prices_is_an_error_and_no_guess(price_list: list[dict[str, Any]], tmp_path: Path) -> None:
    assert refresh(tmp_path / "p.yml", "inf2.xlarge", region="eu-west-1") == 2


def test_a_dead_api_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert refresh(tmp_path / "p.yml", "inf2.xlarge") == 2
    assert "pricing:GetProducts" in capsys.readouterr().err
