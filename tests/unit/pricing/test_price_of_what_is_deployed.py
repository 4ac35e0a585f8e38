"""What a price leaves open is what `deploy` makes and buys: in the run file as written, and as resolved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fmload.config import dump
from fmload.config.loading import parse
from fmload.config.schema import RunFile
from fmload.plan.estimate import prices_of
from fmload.pricing.resolve import Pricing, Unpriced
from fmload.pricing.table import load_prices

LOCAL = {"target": "local", "emulator": "steady", "instance_count": 2}
EC2 = {"target": "ec2", "instance_type": "g5.2xlarge", "instance_count": 2, "container": "vllm"}


def written(root: Path, deploy: dict[str, Any], price: dict[str, Any]) -> RunFile:
    return parse(json.dumps({
        "name": "r", "region": "us-east-1", "load": {"concurrency": [1]},
        "endpoints": [{"name": "a", "protocol": "openai", "model": "m", "deploy": deploy, "price": price}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10}]}), "run.yml", root)


def priced(run: RunFile) -> Pricing | Unpriced:
    return prices_of(run, load_prices())["a"]


@pytest.mark.parametrize(("deploy", "price", "usd"), [
    (LOCAL, {"hourly": 1.5}, 3.0), (LOCAL, {"hourly": 1.5, "count": 1}, 1.5),
    (LOCAL, {"instance_type": "g5.2xlarge"}, 2.424), (EC2, {"hourly": 1.5}, 3.0)])
def test_all_instances_that_are_deployed_are_paid_for_before_and_after_the_run_file_is_resolved(
        tmp_path: Path, deploy: dict[str, Any], price: dict[str, Any], usd: float) -> None:
    run = written(tmp_path, deploy, price)
    for one in (run, parse(dump(run), "run.yml", tmp_path)):
        found = priced(one)
        assert isinstance(found, Pricing) and found.usd_per_hour == pytest.approx(usd)


def test_spot_instances_are_no_on_demand_ones_once_the_run_file_is_resolved(tmp_path: Path) -> None:
    run = written(tmp_path, {**EC2, "purchase": "spot"}, {"region": "us-east-1"})
    for one in (run, parse(dump(run), "run.yml", tmp_path)):
        found = priced(one)
        assert isinstance(found, Unpriced) and "spot" in found.reason
