"""The rows of the Tokens tab: what each endpoint and prompt set got, and its own part of the price."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from fmload.config import RunFile
from fmload.live.counts import Counts
from fmload.live.state import LiveState
from fmload.locust.webui.tab import COLUMNS, columns_of
from fmload.locust.webui.view import LiveView
from fmload.master.spend import Spend
from fmload.model.stage import Stage
from fmload.plan.stages import plan
from fmload.pricing.resolve import Pricing

HOUR_NS = 3600 * 10**9


def stages(**load: Any) -> list[Stage]:
    """The stages of two prompt sets on one endpoint; each step lasts an hour."""
    made = plan(RunFile.model_validate({
        "name": "r", "load": {"concurrency": [4], **load},
        "endpoints": [{"name": "e", "protocol": "openai", "url": "http://h/v1"}],
        "prompts": [{"name": name, "source": "synthetic", "input_tokens": 10} for name in ("p", "q")]}))
    for stage in made:
        stage.ramp_start_ns = stage.step * HOUR_NS + 1
        stage.drain_end_ns = stage.ramp_start_ns + HOUR_NS
    return made


def rows(made: list[Stage], outcomes: dict[str, int]) -> list[dict[str, Any]]:
    groups = {(stage.stage, stage.endpoint, stage.prompt_set): Counts(Counter(outcomes)) for stage in made}
    spend = Spend({"e": Pricing("t", usd_per_hour=2.0)}, made)
    live = LiveState()
    live.groups = groups
    collector: Any = SimpleNamespace(stages=made, live=live, spend=spend)
    return LiveView(lambda: collector).rows()


def view(outcomes: dict[str, int], output_tokens: int) -> LiveView:
    live = LiveState()
    live.groups = {(0, "e", "p"): Counts(Counter(outcomes), output_tokens=output_tokens)}
    collector: Any = SimpleNamespace(stages=[], live=live)
    return LiveView(lambda: collector)


def test_columns_of_tokens_are_left_out_once_answers_hold_none() -> None:
    shown = columns_of(view({"ok": 3}, 0))
    assert [key for key in shown if key.startswith(("ttft", "itl", "icl", "tpot", "output"))] == []
    assert {"e2e_p50_ms", "requests", "input_tokens"} <= set(shown)


@pytest.mark.parametrize(("outcomes", "output_tokens"), [({"ok": 3}, 9), ({"http_5xx": 3}, 0), ({}, 0)])
def test_all_columns_are_there_where_text_is_made_or_nothing_is_known(outcomes: dict[str, int],
                                                                      output_tokens: int) -> None:
    of_others = ("first_text_", "first_audio_", "images")
    assert columns_of(view(outcomes, output_tokens)) == {
        key: title for key, title in COLUMNS.items() if not key.startswith(of_others)}


@pytest.mark.parametrize("metric", ["first_text", "first_audio"])
def test_columns_of_sound_are_there_where_it_was_measured_and_none_of_tokens_that_a_server_counts(metric: str) -> None:
    found = view({"ok": 3}, 9)
    collector: Any = found._collector()
    collector.live.groups[0, "e", "p"].histograms[metric] = {5: 3}
    shown = columns_of(found)
    assert f"{metric}_p95_ms" in shown and "e2e_p50_ms" in shown
    assert not [key for key in shown if key.startswith(("ttft", "itl", "icl", "tpot", "output_tokens"))]


def test_images_made_have_columns_of_their_own() -> None:
    made = view({"ok": 3}, 0)
    made._collector().live.groups[0, "e", "p"].images = 6  # type: ignore[union-attr]
    shown = columns_of(made)
    assert {"images", "images_per_minute", "e2e_p50_ms"} <= set(shown)
    assert not [key for key in shown if key.startswith(("ttft", "output"))]


def test_requests_given_up_are_counted_apart_from_errors() -> None:
    row, _ = rows(stages(), {"ok": 7, "cancelled": 2, "http_5xx": 1})
    assert (row["requests"], row["errors"], row["cancelled"]) == (10, 1, 2)


def test_stages_one_after_the_other_pay_each_its_own_hour() -> None:
    assert [row["cost_usd"] for row in rows(stages(), {"ok": 1})] == [2.0, 2.0]


def test_components_of_a_mix_share_the_hour_of_their_endpoint() -> None:
    mix = [{"endpoint": "e", "prompts": name} for name in ("p", "q")]
    found = rows(stages(mix=mix), {"ok": 1})
    assert sum(row["cost_usd"] for row in found) == pytest.approx(2.0)


def test_the_tab_tells_each_tenant_apart_and_nothing_where_there_are_none() -> None:
    from fmload.locust.webui.view import _tenants

    live = LiveState()
    live.groups = {(0, "e", "p"): Counts(Counter(ok=5, http_5xx=1), good=4)}
    collector: Any = SimpleNamespace(stages=[], live=live)
    assert list(_tenants(collector)) == []
    live.tenants = {(0, "e", "p", "gold"): Counts(Counter(ok=3, http_5xx=1), good=3)}
    assert [(row["tenant"], row["requests"], row["errors"], row["good_percent"]) for row in _tenants(collector)] == [
        ("", 2, 0, 50.0), ("gold", 4, 1, 75.0)]


def test_rates_of_a_stage_that_is_on_are_over_the_time_since_its_ramp(monkeypatch: pytest.MonkeyPatch) -> None:
    made = stages()
    made[0].status, made[0].drain_end_ns = "running", 0
    made[1].ramp_start_ns = made[1].drain_end_ns = 0
    live = LiveState()
    live.groups = {(0, "e", "p"): Counts(Counter(ok=5), output_tokens=500, images=30)}
    monkeypatch.setattr("time.monotonic_ns", lambda: made[0].ramp_start_ns + 10 * 10**9)
    collector: Any = SimpleNamespace(stages=made, live=live, spend=Spend({}, made))
    [row] = LiveView(lambda: collector).rows()
    assert (row["output_tokens_per_s"], row["images_per_minute"]) == (50.0, 180.0)


def test_windows_are_shaded_once_they_are_open_and_to_the_end_of_those_that_closed() -> None:
    from fmload.locust.webui.view import _windows

    made = stages(concurrency=[1, 2])
    made[0].window_start_ns, made[0].window_end_ns, made[1].window_start_ns = 10 * 10**9, 20 * 10**9, 30 * 10**9
    collector: Any = SimpleNamespace(stages=made, wall_anchor_ns=10**9)
    assert [(band["from_s"], band["to_s"]) for band in _windows(collector)] == [(11.0, 21.0), (31.0, None)]
