"""What is paid for by the search or the minute of sound: in the run that is on, as in its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import request, stage, write

from fmload.master.spend import Spend
from fmload.model.record import Record, pack
from fmload.model.stage import Load, Stage
from fmload.pricing.resolve import Pricing, resolve, terms_of
from fmload.pricing.table import load_prices
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run


def priced(**price: float) -> Pricing:
    found = resolve(terms_of({"name": "a", "protocol": "rerank", "price": price}), load_prices(None))
    assert isinstance(found, Pricing) and found.by_token
    return found


def live_usd(price: Pricing, records: list[Record]) -> float:
    on = Stage(0, 0, 0, "a", "p", Load("concurrency", 1), {}, 0, 0, 60, None, 30, status="running")
    spend = Spend({"a": price}, [on])
    spend.take(map(pack, records))
    return spend.usd_for_tokens()


@pytest.mark.parametrize(("documents", "searches"), [(1, 1), (100, 1), (101, 2), (250, 3)])
def test_each_hundred_documents_of_a_ranking_are_a_search(documents: int, searches: int) -> None:
    asked = request("r", 0.0, [50.0], streamed=False, inputs=documents)
    assert live_usd(priced(per_1k_searches=2.0), [asked]) == pytest.approx(searches * 0.002)
    refused = request("s", 0.0, [], streamed=False, inputs=documents, outcome="http_4xx", status=400)
    assert live_usd(priced(per_1k_searches=2.0), [refused]) == 0


def test_the_report_has_the_same_price(tmp_path: Path) -> None:
    records = [request(f"r{i}", i * 100.0, [i * 100.0 + 50], streamed=False, inputs=150) for i in range(20)]
    write(tmp_path, [stage(window_ms=20_000)], records,
          spec={"endpoints": [{"name": "a", "price": {"per_1k_searches": 2.0}}]})
    result, = analyse_run(open_run(tmp_path)).results
    assert result.value("price_per_transaction") == pytest.approx(0.004)
    assert result.value("price_per_1m_inputs") == pytest.approx(0.004 / 150 * 1e6)


@pytest.mark.parametrize("sound", [{"audio_in_s": 30.0}, {"audio_out_s": 30.0, "characters": 400}])
def test_minutes_of_sound_are_paid_for_while_the_run_is_on(sound: dict[str, Any]) -> None:
    records = [request(f"r{i}", 0.0, [50.0], streamed=False, **sound) for i in range(4)]
    assert live_usd(priced(per_audio_minute=0.006), records) == pytest.approx(4 * 0.003)
