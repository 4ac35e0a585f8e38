"""The start form in a real browser: its fields in the order of need, the endpoint tried, errors beside the button."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from playwright.sync_api import Page, expect
from watched import Watched

from tests.load_rig import emulator, free_port, wait_until

LOCUSTFILE = Path(__file__).parents[2] / "locustfiles" / "openai.py"
KEY = "sk-start-form-7Kx9LmQw"


@contextmanager
def _locust(folder: Path, *options: str, key: str = KEY) -> Iterator[str]:
    port = free_port()
    with (folder / "locust.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--web-port", str(port), *options],
            stdout=log, stderr=log, cwd=folder, env={**os.environ, "GIVEN_KEY": key})
        try:
            wait_until(lambda: _answers(port), 60, "the web UI")
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait(30)


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=2).ok
    except requests.RequestException:
        return False


def _tried(page: Page) -> str:
    with page.expect_response("**/fmload/try"):
        page.get_by_role("button", name="Try the endpoint").click()
    expect(page.locator("#fmload-tried")).not_to_contain_text("asking")
    return page.locator("#fmload-tried").inner_text()


def _refused(page: Page, url: str) -> str:
    """The message beside the button of a start that may not be."""
    page.get_by_role("button", name="Start").click()
    alert = page.locator("#root form .MuiAlert-root")
    expect(alert).to_be_visible()
    assert requests.get(f"{url}stats/requests", timeout=5).json()["state"] == "ready"
    return alert.inner_text()


def test_the_fields_stand_in_the_order_of_need_with_help_and_errors_stand_beside_the_button(
        watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with (emulator(tmp_path, "--model", "tiny-llm", "--api-key", KEY) as server,
          _locust(tmp_path, "--host", f"{server.url}/v1", "--fmload-api-key-env", "GIVEN_KEY") as url):
        page.goto(url)
        names = ("host", "fmloadModel", "fmloadInputTokens", "fmloadOutputTokens", "fmloadConcurrency",
                 "userCount", "spawnRate")
        tops = []
        for name in names:
            expect(page.locator(f"[name={name}]")).to_be_visible()
            tops.append(page.locator(f"[name={name}]").bounding_box()["y"])  # type: ignore[index]
        assert tops == sorted(tops)
        expect(page.get_by_label("Model", exact=True)).to_have_accessible_description(
            "Model to ask for; asked of the server when empty")
        told = _tried(page)
        assert "serves tiny-llm" in told and "GIVEN_KEY accepted" in told and "first answer" in told
        page.get_by_label("Model", exact=True).fill("tiny-lm")
        assert "did you mean 'tiny-llm'" in _refused(page, url)
        page.get_by_label("Model", exact=True).fill("")
        page.get_by_label("Concurrency", exact=True).fill("two")
        assert "'two'" in _refused(page, url)
        page.get_by_label("Concurrency", exact=True).fill("")
        page.get_by_label("Input tokens", exact=True).fill("many")
        assert "input tokens: 'many' is no number" in _refused(page, url)
        assert KEY not in page.content()
    assert watched.errors == []


def test_a_key_that_is_missing_or_wrong_and_a_server_that_is_not_there_are_told_before_the_start(
        watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with emulator(tmp_path, "--model", "tiny-llm", "--api-key", KEY) as server:
        with _locust(tmp_path, "--host", f"{server.url}/v1") as url:
            page.goto(url)
            expect(page.locator("#fmload-settings")).to_contain_text("--fmload-api-key-env")
            assert "wants an API key" in (told := _refused(page, url)) and "--fmload-api-key-env" in told
            page.get_by_label("Endpoint", exact=True).fill(server.url)
            assert f"write {server.url}/v1" in _tried(page) or "wants an API key" in _tried(page)
            page.get_by_label("Endpoint", exact=True).fill(f"http://127.0.0.1:{free_port()}/v1")
            assert "connection refused" in _refused(page, url)
        with _locust(tmp_path, "--host", f"{server.url}/v1", "--fmload-api-key-env", "GIVEN_KEY", key="wrong") as url:
            page.goto(url)
            assert "refuses the key in GIVEN_KEY" in _refused(page, url)
