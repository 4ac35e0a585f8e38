"""`fmload prices refresh` through an unmodified boto3 against a Price List API that speaks its protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.cli.main import main
from fmload.pricing.resolve import Pricing, Unpriced, resolve, terms_of
from fmload.pricing.table import load_prices

MODELS = [("amazon.nova-lite-v1:0", "Nova Lite"), ("anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5"),
          ("qwen.qwen3-coder-next", "Qwen3 Coder Next"), ("half.model-v1:0", "Half")]
PROFILES = ["us.anthropic.claude-haiku-4-5-20251001-v1:0", "global.anthropic.claude-haiku-4-5-20251001-v1:0"]
HAIKU = "Claude Haiku 4.5 (Amazon Bedrock Edition)"
NATIVE, MARKET = "AmazonBedrock", "AmazonBedrockFoundationModels"
TOKENS: list[tuple[str, dict[str, str], str, str]] = [  # service, attributes, unit, USD
    (NATIVE, {"model": "Nova Lite", "inferenceType": "Input tokens"}, "1K tokens", "0.00006"),
    (NATIVE, {"model": "Nova Lite", "inferenceType": "Output tokens"}, "1K tokens", "0.00024"),
    (NATIVE, {"model": "Nova Lite", "inferenceType": "Prompt cache read input tokens"}, "1K tokens", "0.000015"),
    (NATIVE, {"model": "Nova Lite", "inferenceType": "Input tokens flex"}, "1K tokens", "0.00003"),
    (NATIVE, {"model": "Nova Lite", "inferenceType": "Output tokens flex"}, "1K tokens", "0.00012"),
    (NATIVE, {"model": "Nova Lite", "inferenceType": "Input tokens", "feature": "Model Customization"}, "Tokens",
     "0.9"),
    (NATIVE, {"model": "qwen.qwen3-coder-next", "inferenceType": "Input tokens"}, "1K tokens", "dear"),
    (NATIVE, {"model": "Half", "inferenceType": "Input tokens"}, "1K tokens", "0.001"),
    (NATIVE, {"model": "Unheard Of", "inferenceType": "Input tokens"}, "1K tokens", "0.001"),
    (MARKET, {"servicename": HAIKU, "usagetype": "USE1-MP:USE1_InputTokenCount-Units"}, "1M tokens", "1.1"),
    (MARKET, {"servicename": HAIKU, "usagetype": "USE1-MP:USE1_OutputTokenCount-Units"}, "1M tokens", "5.5"),
    (MARKET, {"servicename": HAIKU, "usagetype": "USE1_CacheWriteInputTokenCount-Units"}, "1M tokens", "1.375"),
    (MARKET, {"servicename": HAIKU, "usagetype": "USE1_InputTokenCount_Global-Units"}, "1M tokens", "1.0"),
    (MARKET, {"servicename": HAIKU, "usagetype": "USE1_output_tokens_global_standard-Units"}, "1M tokens", "5.0")]
SPOT = """<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><spotPriceHistorySet>
<item><instanceType>g5.xlarge</instanceType><spotPrice>0.41</spotPrice><availabilityZone>a</availabilityZone></item>
<item><instanceType>g5.xlarge</instanceType><spotPrice>0.47</spotPrice><availabilityZone>b</availabilityZone></item>
</spotPriceHistorySet></DescribeSpotPriceHistoryResponse>"""
ON_DEMAND = {"inf2.xlarge": ["0.7582"], "g5.xlarge": ["1.006"], "ml.inf2.xlarge": ["0.99"], "twice.xlarge": ["1", "2"],
             "odd.xlarge": ["a lot"]}
ELSEWHERE = {("eu-west-1", "ml.g5.xlarge"): ["1.57"], ("eu-west-1", "g5.xlarge"): ["1.123"]}
RESERVED = {"g5.xlarge": "0.634"}


class PriceList(BaseHTTPRequestHandler):
    """AWSPriceListService.GetProducts, JSON 1.1, one product a page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Bedrock's lists of models and of inference profiles."""
        models = [{"modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{key}", "modelId": key, "modelName": name}
                  for key, name in MODELS]
        profiles = [{"inferenceProfileId": key} for key in PROFILES]
        found = ({"inferenceProfileSummaries": profiles} if "inference-profiles" in self.path
                 else {"modelSummaries": models})
        self.answer(json.dumps(found).encode(), "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"DescribeSpotPriceHistory" in body:
            return self.answer(SPOT.encode(), "text/xml")
        query = json.loads(body)
        self.server.queries.append(query)  # type: ignore[attr-defined]
        wanted = {found["Field"]: found["Value"] for found in query["Filters"]}
        if query["ServiceCode"] in (NATIVE, MARKET):
            offers = [json.dumps(token_offer(attributes, unit, usd))
                      for service, attributes, unit, usd in TOKENS if service == query["ServiceCode"]]
            return self.answer(json.dumps({"PriceList": offers}).encode(), "application/x-amz-json-1.1")
        name = wanted.get("instanceType") or wanted.get("instanceName", "")
        where = wanted["regionCode"]
        known = ON_DEMAND.get(name, []) if where == "us-east-1" else ELSEWHERE.get((where, name), [])
        page = int(query.get("NextToken", 0))
        answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": [
            json.dumps(product(name, price)) for price in known[page:page + 1]]}
        if page + 1 < len(known):
            answer["NextToken"] = str(page + 1)
        return self.answer(json.dumps(answer).encode(), "application/x-amz-json-1.1")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def token_offer(attributes: dict[str, str], unit: str, usd: str) -> dict[str, Any]:
    """An offer of tokens."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
    return {"product": {"sku": "S", "attributes": {"feature": "On-demand Inference", **attributes}},
            "terms": {"OnDemand": {"S.T": {"priceDimensions": {"S.T.1": dimension}}}}}


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
    for service in ("PRICING", "BEDROCK", "EC2"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{server.server_port}")
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
    assert yaml.safe_load(out.read_text())["instances"][1]["prices"] == {"g5.xlarge": 0.634}


def test_each_service_is_asked_with_its_own_filters(price_list: list[dict[str, Any]], tmp_path: Path) -> None:
    refresh(tmp_path / "p.yml", "inf2.xlarge", "ml.inf2.xlarge")
    ec2, sagemaker = price_list
    fields = {found["Field"]: found["Value"] for found in ec2["Filters"]}
    assert ec2["ServiceCode"] == "AmazonEC2"
    assert (fields["tenancy"], fields["operatingSystem"], fields["capacitystatus"]) == ("Shared", "Linux", "Used")
    assert sagemaker["ServiceCode"] == "AmazonSageMaker"
    assert {"Type": "TERM_MATCH", "Field": "component", "Value": "Hosting"} in sagemaker["Filters"]


def test_a_bad_row_is_told_and_the_others_are_written(price_list: list[dict[str, Any]], tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.yml"
    assert refresh(out, "twice.xlarge", "odd.xlarge", "inf2.xlarge") == 0
    told = capsys.readouterr().err
    assert "several on_demand prices: 1, 2" in told and "odd.xlarge" in told
    written = yaml.safe_load(out.read_text())["instances"]
    assert [group["prices"] for group in written] == [{"inf2.xlarge": 0.7582}]


def test_several_prices_alone_are_no_table(price_list: list[dict[str, Any]], tmp_path: Path) -> None:
    assert refresh(tmp_path / "p.yml", "twice.xlarge") == 2
    assert not (tmp_path / "p.yml").exists()


def test_bedrocks_token_prices_have_the_ids_that_bedrock_lists(price_list: list[dict[str, Any]], tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.yml"
    assert refresh(out, "bedrock") == 0
    here, worldwide = yaml.safe_load(out.read_text())["tokens"]
    assert here["region"] == "us-east-1" and "region" not in worldwide
    haiku = {"input": 1.1, "output": 5.5, "cache_write": 1.375}
    assert here["prices"] == {
        "amazon.nova-lite-v1:0": {"input": 0.06, "output": 0.24, "cached_input": 0.015,
                                  "tiers": {"flex": {"input": 0.03, "output": 0.12}}},
        "anthropic.claude-haiku-4-5-20251001-v1:0": haiku, f"us.{MODELS[1][0]}": haiku}
    assert worldwide["prices"] == {f"global.{MODELS[1][0]}": {"input": 1.0, "output": 5.0}}
    quote = load_prices(out).tokens("amazon.nova-lite-v1:0", "flex", "us-east-1")
    assert quote is not None and quote.source == "AWS Price List API"
    told = capsys.readouterr().err
    assert "Unheard Of" in told and "half.model-v1:0: no price of output tokens" in told and "cannot be read" in told


def test_spot_prices_are_rates_of_their_own(price_list: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "p.yml"
    assert main(["prices", "refresh", "--types", "g5.xlarge", "--spot", "--out", str(out)]) == 0
    quote = load_prices(out).hourly("g5.xlarge", "us-east-1", "spot")
    assert quote is not None and quote.usd == 0.47 and quote.date


@pytest.mark.parametrize(("entry", "region", "usd"), [
    ({"protocol": "sagemaker", "instance_type": "ml.g5.xlarge"}, "eu-west-1", 1.57),
    ({"protocol": "openai", "price": {"instance_type": "g5.xlarge", "purchase": "spot"}}, "us-east-1", 0.47),
    ({"protocol": "openai", "price": {"instance_type": "g5.xlarge", "purchase": "reserved_1yr"}}, "eu-west-9", None)])
def test_the_remedy_for_a_price_that_is_not_known_finds_it(
        price_list: list[dict[str, Any]], tmp_path: Path, entry: dict[str, Any], region: str,
        usd: float | None) -> None:
    terms, out = terms_of({"name": "a", **entry}, region), tmp_path / "p.yml"
    unknown = resolve(terms, load_prices())
    assert isinstance(unknown, Unpriced)
    command = unknown.remedy.partition("fetch it: fmload ")[2].partition(";")[0].split()
    done = main([*command, "--out", str(out)])
    if usd is None:
        assert done == 2  # no such region
        return
    found = resolve(terms, load_prices(out))
    assert done == 0 and isinstance(found, Pricing) and (found.usd_per_hour, found.region) == (usd, region)


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
