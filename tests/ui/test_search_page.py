"""The page of a search over stacks in a browser: every section, narrow and dark, without an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from watched import Watched

from fmload.model.stack import Candidate, Figure, StackSearch, Trial
from fmload.results import search_file
from fmload_analysis.stacks.page import write

pytestmark = pytest.mark.browser
HOSTILE = "</script><script>fail()</script><b>"
ROOFLINE = {"accelerators": "1 × A10G", "batch": 15.2, "decode_mbu": 0.72, "decode_mfu": 0.09, "prefill_mfu": 0.31,
            "ridge_batch": 210.0, "date": "2026-11-29"}


def search_of(count: int = 12) -> StackSearch:
    """A search with something for every section; the last candidates failed, missed and were not tried."""
    search = StackSearch("llama-stacks", "price_per_1m_output_tokens", "halving", 1, [
        Candidate(f"llama-{number:02d}", "llama", {"machine": "g5" if number % 2 else "g6", "deploy.max_num_seqs": str(
            8 * 2 ** (number % 3)), "engine": HOSTILE if number == 3 else "--flash on --kv q8_0"}, number == 0)
        for number in range(count)], ended="nothing is left that could be better", max_cost=5, idle_usd=0.1,
        emulated={"llama-01": "llama3-8b-g5.xlarge"})
    for number in range(count - 3):
        value = 1.2 + 0.15 * ((number * 5) % 7) + 0.01 * number
        search.trials.append(Trial(
            number, f"llama-{number:02d}", 1.0 if number < 5 else 0.3, f"trials/{number:03d}", "measured", took_s=400,
            measured_s=240, usd=0.2, figure=Figure(value, value * 0.95, None if number == 2 else value * 1.05), facts={
                "load": "16 users", "output_tokens_per_s": 400.0, "ttft_p95": 0.8, "tpot_p50": 0.03, "audit": "PASS",
                "stages": 5, "points": [
                    {"load": "8 users", "price": value * 1.2, "tokens_per_s_user": 40.0, "meets": True},
                    {"load": "32 users", "price": value, "tokens_per_s_user": 20.0, "meets": False}],
                "limit": "batch size", "evidence": "3 requests waited at the median beside a full batch of 16",
                "next": "a larger batch", "roofline": ROOFLINE, "cached_share": 0.4, "accepted_share": 0.6,
                "machine": "00", "reused": number > 0, "ready_s": 600.0 if number == 0 else 40.0, "served": True,
                "usd_per_hour": 1.2, "price_per_transaction": value / 1e4, "graded": {
                    f"p-{prompt}": float(prompt % 10 != number % 10) for prompt in range(100)}}))
    failed, missed = f"llama-{count - 3:02d}", f"llama-{count - 2:02d}"
    search.trials.append(Trial(count - 3, failed, 0.3, "trials/x", "failed", reason="did not start: out of memory",
                               words=f"torch.OutOfMemoryError {HOSTILE} " + "x" * 300))
    search.trials.append(Trial(count - 2, missed, 0.3, "trials/y", "missed",
                               reason="the lowest load: ttft_p90 4 s > 3 s"))
    return search


@pytest.fixture
def page_of(tmp_path: Path) -> Path:
    search_file.write(tmp_path, search_of())
    (tmp_path / "figures").mkdir()
    return write(tmp_path)[0]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (760, "light"), (760, "dark")])
def test_the_page_of_a_search_fits_and_reaches_for_nothing(watched: Watched, page_of: Path, width: int,
                                                           scheme: str) -> None:
    page = watched.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(page_of.as_uri())
    assert [one.inner_text() for one in page.locator("h2").all()][:4] == [
        "Stacks", "Ranking", "Quality beside price", "What each setting does"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not watched.errors and not watched.network()


def test_a_hostile_setting_is_text(watched: Watched, page_of: Path) -> None:
    watched.page.goto(page_of.as_uri())
    assert "fail()" in watched.page.inner_text("body") and not watched.errors
