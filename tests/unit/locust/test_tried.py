"""The endpoint of a start form, tried: options as the form sets them, errors in the form's words, no secret told."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.base.redaction import protect
from fmload.config import RunFile, parse
from fmload.launch import server
from fmload.locust import tried
from fmload.locust.webui.start import Tried

URL = "http://good:8000/v1"
SERVED = server.Served(URL, (server.Model("tiny", 512),))
RUN = """
name: locust
endpoints: [{name: e, protocol: openai, url: "URL", model: MODEL}]
prompts: [{name: p, source: synthetic, input_tokens: INPUT, output_tokens: 100}]
load: {concurrency: [1], window: 5s}
"""


def _run(model: str = "tiny", input_tokens: int = 200, url: str = URL) -> RunFile:
    text = RUN.replace("MODEL", model).replace("INPUT", str(input_tokens)).replace("URL", url)
    return parse(text, "the options", Path.cwd())


@pytest.fixture(autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ask", lambda url, variable: SERVED)
    monkeypatch.setattr(server, "try_answer", lambda url, model, variable, limit_s: 0.25)


def _refused(*_: object) -> float:
    raise FmloadError("HTTP 404")


def test_a_good_endpoint_says_what_it_serves() -> None:
    found = tried.tried(_run, URL, remote=False)
    assert found == Tried(True, f"{URL} serves tiny, 512 tokens a request at most, no key asked for; "
                                      "a first answer after 250 ms")


def test_a_slow_server_is_no_reason_not_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "try_answer", lambda *_: None)
    found = tried.tried(_run, URL, remote=False)
    assert found.good and "no answer within 10 s" in found.told


@pytest.mark.parametrize(("run", "told"), [
    (_run("tinny"), "did you mean 'tiny'"), (_run(input_tokens=500), "more than the 512 that tiny takes"),
    (_run(url="http://good:8000"), f"write {URL}")])
def test_a_wrong_model_lengths_that_do_not_fit_and_a_host_that_is_no_base_url_are_told(
        run: RunFile, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "try_answer", _refused)
    found = tried.tried(lambda: run, URL, remote=False)
    assert not found.good and told in found.told


def test_a_model_that_is_not_listed_and_answers_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried.tried(lambda: _run("an-alias"), URL, remote=False).good
    monkeypatch.setattr(server, "try_answer", lambda *_: None)
    assert "serves no model 'an-alias'" in tried.tried(lambda: _run("an-alias"), URL, remote=False).told


def test_remedies_are_those_of_locusts_options_and_form() -> None:
    key = FmloadError("it wants an API key", hint="export OPENAI_API_KEY=…, or --api-key-env MY_KEY")
    assert tried.told_of(key).endswith("start Locust with --fmload-api-key-env and its name")
    assert "the field Model" in tried.told_of(FmloadError("which one?", hint="--model NAME; it has a, b"))


def test_no_password_of_the_host_is_told() -> None:
    def read() -> RunFile:
        raise FmloadError("good does not speak plain HTTP: nonnumeric port: 'pa55@good:8000'", hint="http://me:pa55@good")

    found = tried.tried(read, "http://me:pa55@good:8000/v1", remote=False)
    assert not found.good and "pa55" not in found.told and "me:" not in found.told


def test_no_secret_that_a_server_or_proxy_echoes_is_told() -> None:
    """The user of the page need not be who holds the key, or the proxy's password."""
    protect("a-password-of-the-proxy")

    def read() -> RunFile:
        raise FmloadError("the proxy refuses: HTTP 407, a-password-of-the-proxy", hint="a-password-of-the-proxy?")

    found = tried.tried(read, URL, remote=False)
    assert not found.good and "password" not in found.told and "HTTP 407" in found.told


def test_options_take_the_types_that_they_have() -> None:
    options = Namespace(num_users=None, spawn_rate=None, run_time=60, fmload_input_tokens=200, fmload_model="")
    form = {"user_count": "8", "spawn_rate": "0.5", "run_time": "", "fmload_input_tokens": "550", "fmload_model": "m",
            "no_option": "x"}
    assert tried.filled(options, form) == Namespace(num_users=8, spawn_rate=0.5, run_time=60, fmload_input_tokens=550,
                                                    fmload_model="m")
    with pytest.raises(FmloadError, match="input tokens: 'many' is no number"):
        tried.filled(options, {"fmload_input_tokens": "many"})
