"""The Tokens tab in Locust's own page: the form starts a run, the charts live, the table says what the records say."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests
from playwright.sync_api import Page, expect
from watched import Watched

from tests.load_rig import emulator, free_port, wait_until

ROOT = Path(__file__).parents[2]
LOCUSTFILE = ROOT / "locustfiles" / "openai.py"
LOGIN_LOCUSTFILE = Path(__file__).with_name("login_locustfile.py")
LIMIT_S = 90.0


def _wait(what: str, ready: Callable[[], Any]) -> None:
    wait_until(ready, LIMIT_S, what)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an emulated endpoint: 60 ms to the first token, 10 ms a token."""
    folder = tmp_path_factory.mktemp("emulator")
    with emulator(folder, "--profile", "steady", "--ttft", "60ms", "--gap", "10ms") as server:
        yield f"{server.url}/v1"


@contextmanager
def _locust(out: Path, *options: str, locustfile: Path = LOCUSTFILE, base: str = "") -> Iterator[str]:
    """A master with two workers and the web UI; its address. Ended by its process group."""
    port, bind = free_port(), free_port()
    log = out.with_suffix(".log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(locustfile), "--processes", "2", "--web-host", "127.0.0.1",
         "--web-port", str(port), "--master-bind-port", str(bind), "--master-port", str(bind), "--fmload-out", str(out),
         *options], stdout=log, stderr=log, start_new_session=True, cwd=out.parent)
    url = f"http://127.0.0.1:{port}{base}/"
    try:
        _wait("the web UI", lambda: _answers(url))
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
        log.close()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def _run_file(folder: Path, endpoint: str, **load: Any) -> Path:
    path = folder / "run.yml"
    path.write_text(json.dumps({
        "name": "tab",
        "endpoints": [{"name": "steady", "protocol": "openai", "url": endpoint, "model": "emulated",
                       "price": {"hourly": 36.0}}],
        "prompts": [{"name": "short", "source": "synthetic", "input_tokens": 20, "output_tokens": 20, "count": 500}],
        "load": {"concurrency": [2, 4], "ramp": "500ms", "warmup": "500ms", "window": "4s", "drain": "20s", **load},
        "objectives": {"ttft_p95": "2s"}}))
    return path


def _page_data(url: str) -> dict[str, Any]:
    return requests.get(f"{url}fmload/tokens.json", timeout=5).json()  # type: ignore[no-any-return]


def _ended(url: str) -> bool:
    return "ended" in _page_data(url)["state"]


def _table(page: Page) -> dict[str, str]:
    """The one row of the tab's table, by the titles of its columns."""
    table = page.locator("#root .MuiTableContainer-root table").first
    expect(table.locator("thead th", has_text="Requests").first).to_be_visible()
    titles, cells = table.locator("thead th").all_inner_texts(), table.locator("tbody tr").first.locator("td")
    expect(cells).to_have_count(len(titles))  # a page that was just loaded draws the table before its rows
    return dict(zip(titles, cells.all_inner_texts(), strict=True))


def _reloaded(page: Page) -> Page:
    page.reload()  # a run that has ended is still there after a reload
    expect(page.locator("#fmload-tokens svg path").first).to_be_visible()
    return page


def test_the_form_starts_a_run_whose_numbers_the_tab_the_csv_and_the_records_agree_on(
        watched: Watched, endpoint: str, tmp_path: Path) -> None:
    page, out = watched.page, tmp_path / "out"
    with _locust(out, "--host", endpoint) as url:
        page.goto(url)
        for label, value in (("Model", "emulated"), ("Concurrency", "2,4"), ("Window", "4s"),
                             ("Warmup", "500ms"), ("Input tokens", "20"), ("Output tokens", "20")):
            page.get_by_label(label, exact=True).fill(value)
        page.get_by_role("button", name="Start").click()
        page.get_by_role("tab", name="Tokens").click()
        _wait("tokens on the chart", lambda: sum(_page_data(url)["seconds"]["output_tokens"]) > 0)
        expect(page.locator("#fmload-tokens svg path").first).to_be_visible()
        assert len(page.locator("#fmload-tokens [data-part=workers] tbody tr").all()) == 2
        _wait("the end of the run", lambda: _ended(url))
        records = pq.read_table(out / "records")
        # The workers' last counts come up to a second after the end, and Locust keeps its answer for two.
        _wait("all requests in the table of a page loaded after the end",
              lambda: int(_table(_reloaded(page))["Requests"]) == records.num_rows)
        shown = _table(page)
        row = next(csv.DictReader(io.StringIO(requests.get(f"{url}fmload/tokens.csv", timeout=5).text)))
    tokens = sum(records["output_tokens"].to_pylist())
    assert int(row["requests"]) == int(shown["Requests"]) == records.num_rows > 20
    assert int(row["output_tokens"]) == int(shown["Tokens out"]) == tokens
    ttft_ms = sorted((first - sent) / 1e6 for first, sent in
                     zip(records["first_token_ns"].to_pylist(), records["send_ns"].to_pylist(), strict=True))
    # Nearest rank on both sides; the live view's buckets are 0.8 % wide.
    median = ttft_ms[(len(ttft_ms) + 1) // 2 - 1]
    assert float(row["ttft_p50_ms"]) == pytest.approx(median, rel=0.01)
    assert watched.errors == []


def test_a_stage_that_a_person_stops_is_measured_up_to_there_and_tokens_are_shown_as_they_come(
        watched: Watched, tmp_path: Path) -> None:
    """Answers of eight seconds: the first token and the gaps stand on the tab before one has ended."""
    out = tmp_path / "out"
    with emulator(tmp_path, "--profile", "steady", "--ttft", "200ms", "--gap", "100ms") as server:
        run_file = _run_file(tmp_path, f"{server.url}/v1", concurrency=[2, 4], window="60s")
        run_file.write_text(run_file.read_text().replace('"output_tokens": 20', '"output_tokens": 80'))
        with _locust(out, "--fmload-config", str(run_file), "--autostart") as url:
            _wait("a first token of an answer that has not ended", lambda: _row(url)["ttft_p50_ms"])
            row = _row(url)
            assert (row["requests"], float(row["ttft_p50_ms"])) == ("0", pytest.approx(200, rel=0.5))
            _wait("gaps between tokens", lambda: _row(url)["icl_p50_ms"] or _row(url)["requests"] != "0")
            _wait("an answer that has ended in the window", lambda: int(_row(url)["requests"]) > 2)
            watched.page.goto(f"{url}?tab=tokens")
            watched.page.get_by_role("button", name="Stop").click()
            _wait("the end of the run", lambda: "interrupted" in _page_data(url)["state"])
            _wait("the stages as they ended", lambda: _stages(out)[0]["status"] == "done")
    first, second = _stages(out)
    assert (first["window_closed"], second["status"]) == ("ended by hand", "pending")
    assert first["window_end_ns"] - first["window_start_ns"] < 55e9
    assert "cancelled" not in pq.read_table(out / "records")["outcome"].to_pylist()


def _row(url: str) -> dict[str, str]:
    rows = list(csv.DictReader(io.StringIO(requests.get(f"{url}fmload/tokens.csv", timeout=5).text)))
    return rows[0] if rows else {"ttft_p50_ms": "", "icl_p50_ms": "", "requests": "0"}


def _stages(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "stages.json").read_text())["stages"]  # type: ignore[no-any-return]


def test_the_stages_are_marked_and_no_chart_has_saw_teeth(endpoint: str, tmp_path: Path) -> None:
    run_file = _run_file(tmp_path, endpoint, concurrency=[4], window="8s")
    with _locust(tmp_path / "out", "--fmload-config", str(run_file), "--autostart") as url:
        _wait("the end of the run", lambda: _ended(url))
        tokens = sum(pq.read_table(tmp_path / "out" / "records")["output_tokens"].to_pylist())
        _wait("all tokens on the chart", lambda: sum(_page_data(url)["seconds"]["output_tokens"]) == tokens)
        data = _page_data(url)
    stage, = data["stages"]
    inside = [tokens for at, tokens in zip(data["seconds"]["at_s"], data["seconds"]["output_tokens"], strict=True)
              if stage["from_s"] <= at and at + 1 <= stage["to_s"]]
    assert len(inside) >= 6
    assert min(inside) > 0


def test_the_tab_works_under_a_base_path_and_in_dark_mode(watched: Watched, endpoint: str, tmp_path: Path) -> None:
    page = watched.page
    page.emulate_media(color_scheme="dark")
    run_file = _run_file(tmp_path, endpoint, concurrency=[2])
    options = ("--fmload-config", str(run_file), "--autostart", "--web-base-path", "/load")
    with _locust(tmp_path / "out", *options, base="/load") as url:
        _wait("tokens on the chart", lambda: sum(_page_data(url)["seconds"]["output_tokens"]) > 0)
        page.goto(f"{url}?tab=tokens")
        expect(page.locator("#fmload-tokens svg path").first).to_be_visible()
        ink = page.locator("#fmload-tokens svg text").first.get_attribute("fill")
        assert ink == "rgb(255, 255, 255)"
    assert watched.errors == []


def test_behind_a_login_the_data_are_shown_to_nobody_else(endpoint: str, tmp_path: Path) -> None:
    run_file = _run_file(tmp_path, endpoint, concurrency=[2])
    options = ("--fmload-config", str(run_file), "--web-login")
    with _locust(tmp_path / "out", *options, locustfile=LOGIN_LOCUSTFILE) as url:
        stranger = requests.get(f"{url}fmload/tokens.json", timeout=5, allow_redirects=False)
        assert stranger.status_code in (302, 401)
        known = requests.Session()
        known.post(f"{url}enter", timeout=5)
        assert known.get(f"{url}fmload/tokens.json", timeout=5).json()["state"] == "No run yet."


def test_the_cost_runs_with_the_time_that_the_endpoint_served(endpoint: str, tmp_path: Path) -> None:
    run_file = _run_file(tmp_path, endpoint, concurrency=[2])
    with _locust(tmp_path / "out", "--fmload-config", str(run_file), "--autostart") as url:
        _wait("the end of the run", lambda: _ended(url))
        row = next(csv.DictReader(io.StringIO(requests.get(f"{url}fmload/tokens.csv", timeout=5).text)))
    stage, = json.loads((tmp_path / "out" / "stages.json").read_text())["stages"]
    served_s = (stage["drain_end_ns"] - stage["ramp_start_ns"]) / 1e9
    assert float(row["cost_usd"]) == pytest.approx(36.0 / 3600 * served_s, rel=1e-6)
