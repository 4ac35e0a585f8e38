"""What a run will cost, told before it: requests × tokens × prices, its assumptions, and who must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config.loading import parse
from fmload.config.schema import RunFile
from fmload.model.prompt import Prompt
from fmload.model.step import Step, session_prompt
from fmload.plan.estimate import Estimate, approve, estimate, prices_of, require_prices
from fmload.plan.stages import plan
from fmload.pricing.table import load_prices

PROMPT = Prompt("one", "p", "text", input_tokens=1000, output_tokens=100)
PRICE = {"input_per_1m": 1.0, "output_per_1m": 10.0}  # 0.002 USD a request


def run_file(load: dict[str, Any], **keys: Any) -> RunFile:
    endpoint = {"name": "e", "protocol": "openai", "url": "http://h/v1", "model": "m", "price": PRICE,
                **keys.pop("endpoint", {})}
    data = {"name": "r", "endpoints": [endpoint], "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10}],
            "load": load if "exactly" in str(load) else {"ramp": "0s", "warmup": "0s", **load}, **keys}
    return parse(yaml.safe_dump(data), "run.yml", Path.cwd())


def of(run: RunFile, prompt: Prompt = PROMPT) -> Estimate:
    return estimate(run, plan(run), {"p": [prompt]}, prices_of(run, load_prices()))


@pytest.mark.parametrize(("load", "requests"), [
    ({"rate": [2, 4], "window": "100s"}, 600), ({"rate": [2], "window": "90s", "warmup": "10s"}, 200),
    ({"rate": [2], "window": "90s", "ramp": "10s"}, 200),  # arrivals begin at once
    ({"concurrency": [5], "requests": 500}, 505),
    ({"concurrency": [512], "window": "10m"}, 512 * 600 / 2.5 + 512)])
def test_the_requests_of_a_plan_cost_their_tokens(load: dict[str, Any], requests: float) -> None:
    found = of(run_file(load))
    assert found.endpoints[0].requests == pytest.approx(requests)
    assert found.usd == pytest.approx(requests * 0.002)


def test_exactly_so_many_requests_are_so_many() -> None:
    assert of(run_file({"concurrency": [5], "requests": {"exactly": 500}})).usd == pytest.approx(500 * 0.002)


def test_hours_are_paid_for_ramp_warm_up_window_and_an_answer() -> None:
    found = of(run_file({"concurrency": [4], "ramp": "5s", "warmup": "10s", "window": "60s"},
                        endpoint={"price": {"hourly": 36.0, "count": 2}}))
    assert found.usd == pytest.approx(72 / 3600 * (5 + 10 + 60 + 2.5))


def test_what_is_assumed_is_said() -> None:
    closed = of(run_file({"concurrency": [4], "window": "60s"})).describe()
    assert "50 tokens/s" in closed and "not measured yet" in closed
    assert "tokens/s" not in of(run_file({"rate": [4], "window": "60s"})).describe()
    endless = Prompt("one", "p", "text", input_tokens=1000)
    assert "answers of 256 tokens" in of(run_file({"rate": [4], "window": "60s"}), endless).describe()


@pytest.mark.parametrize(("endpoint", "prompt", "told"), [
    ({"protocol": "images", "price": {"per_image": 0.04}}, Prompt("i", "p", "a cat", input_tokens=2), "its images 5 s"),
    ({"protocol": "bedrock", "model": "amazon.nova-canvas-v1:0", "region": "us-east-1", "url": None},
     Prompt("i", "p", "a cat", input_tokens=2), "its images 5 s"),
    ({"protocol": "speech", "price": {"per_1m_characters": 15}}, Prompt("s", "p", "a text", input_tokens=2),
     "an answer 500 ms"),
    ({"protocol": "embeddings"}, Prompt("e", "p", "", inputs=["a"], input_tokens=1), "an answer 500 ms")])
def test_where_no_tokens_are_generated_no_word_is_of_their_pace(
        endpoint: dict[str, Any], prompt: Prompt, told: str) -> None:
    words = of(run_file({"concurrency": [4], "window": "60s"}, endpoint=endpoint), prompt).describe()
    assert f"each user gets {told} after it asks (not measured yet)" in words
    assert "tokens/s" not in words and "answers of" not in words and "as long as" not in words


def test_images_that_are_paid_by_their_number_are_told_without_tokens() -> None:
    found = of(run_file({"concurrency": [4], "window": "60s"}, endpoint={
        "protocol": "images", "price": {"per_image": 0.04}}), Prompt("i", "p", "a cat", input_tokens=2))
    assert found.usd == pytest.approx((4 * 60 / 5 + 4) * 0.04)
    assert found.describe().startswith("e: 52 requests: about 2.08 USD")


def test_an_unknown_price_is_no_zero_and_keeps_no_limit() -> None:
    run = run_file({"rate": [1], "window": "60s"}, max_cost=5.0, endpoint={"price": {"instance_type": "no.such"}})
    assert of(run).usd is None
    assert "n/a" in of(run).describe()
    with pytest.raises(FmloadError, match=r"no\.such in us-east-1") as caught:
        require_prices(run, prices_of(run, load_prices()))
    assert "hourly" in str(caught.value)
    require_prices(run_file({"rate": [1]}, endpoint={"price": None}), {})


DEAR: dict[str, Any] = {"rate": [10], "window": "1000s"}  # 20 USD


def test_a_dear_load_is_asked_for_and_nobody_there_is_a_no() -> None:
    asked: list[str] = []
    with pytest.raises(FmloadError, match=r"20\.00 USD, above ask_above \(10 USD\)") as caught:
        approve(of(run_file(DEAR)), run_file(DEAR), False, None)
    assert "--yes" in str(caught.value)
    with pytest.raises(FmloadError, match="declined"):
        approve(of(run_file(DEAR)), run_file(DEAR), False, lambda told: bool(asked.append(told)))
    assert "about 20.00 USD" in asked[0]
    assert "about 20.00 USD" in approve(of(run_file(DEAR)), run_file(DEAR), True, None)
    assert approve(of(run_file(DEAR)), run_file(DEAR, ask_above=25.0), False, None)


def test_a_load_above_its_limit_needs_a_yes_and_is_told_that_it_will_be_stopped() -> None:
    run = run_file({"rate": [1], "window": "100s"}, max_cost=0.001)
    with pytest.raises(FmloadError, match="above max_cost"):
        approve(of(run), run, False, None)
    assert "will be stopped" in approve(of(run), run, True, None)


def test_an_emulation_is_told_but_not_asked_for() -> None:
    run = run_file(DEAR, max_cost=0.001, endpoint={"emulated": "a model"})
    assert "as if it were no emulation" in approve(of(run), run, False, None)


def test_the_requests_of_sessions_cost_what_was_said_before_them_too() -> None:
    """Two requests a session: 40 tokens in and 10 out, then these and 5 new ones in and 20 out."""
    steps = [Step("a", "request", messages=[{"role": "user", "content": "x"}], input_tokens=40, output_tokens=10),
             Step("b", "request", ["a"], chat="a", messages=[{"role": "user", "content": "x" * 20}], output_tokens=20)]
    run = run_file({"rate": [2], "ramp": 0, "warmup": "0s", "window": "10s", "sessions": True})
    one, = of(run, session_prompt(steps, True, prompt_set="short", id="s")).endpoints
    assert (one.requests, one.tokens_in, one.tokens_out) == (40, 20 * (40 + 55), 20 * 30)
