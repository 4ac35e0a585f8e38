"""What was typed for a server, and which of its models is asked for."""

from __future__ import annotations

import pytest

from fmload.base.errors import FmloadError
from fmload.launch.server import Model, Served, base_url, choose, key_variable, looks_like_url


@pytest.mark.parametrize(("given", "meant"), [
    ("http://h:8000", "http://h:8000/v1"), ("http://h:8000/", "http://h:8000/v1"), ("http://h/v1/", "http://h/v1"),
    ("https://h/openai/v1", "https://h/openai/v1"), ("http://h/v1/chat/completions", "http://h/v1"),
    ("http://h/v1/completions", "http://h/v1"), ("http://h/v1/models/", "http://h/v1")])
def test_the_base_url_is_found_in_what_was_given(given: str, meant: str) -> None:
    assert base_url(given) == meant


@pytest.mark.parametrize(("given", "told"), [
    ("localhost:8000/v1", "write http://localhost:8000/v1"), ("http:/h:1/v1", "write http://h:1/v1"),
    ("ftp://h/v1", "no http or https URL"), ("http://h:99999/v1", "http://h:99999/v1")])
def test_what_is_no_url_is_told_with_the_remedy(given: str, told: str) -> None:
    with pytest.raises(FmloadError) as raised:
        base_url(given)
    assert told in str(raised.value)


@pytest.mark.parametrize(("text", "is_url"), [
    ("http://h/v1", True), ("http:/h/v1", True), ("localhost:8000", True), ("10.0.0.5:8000/v1", True),
    ("quickstrat", False), ("my-run.yml", False), ("configs/my.yml", False)])
def test_a_server_is_told_from_a_run_file(text: str, is_url: bool) -> None:
    assert looks_like_url(text) is is_url


def test_the_model_is_the_servers_first_or_the_one_that_was_named() -> None:
    served = Served("http://h/v1", (Model("base", 4096), Model("adapter")))
    assert (choose(served, None), choose(served, "adapter")) == ("base", "adapter")
    assert (served.context("base"), served.context("adapter")) == (4096, None)
    assert choose(Served("http://h/v1"), "unlisted") == "unlisted"


@pytest.mark.parametrize(("served", "wanted", "told"), [
    (Served("http://h/v1", (Model("llama"),)), "lama", "did you mean 'llama'"),
    (Served("http://h/v1"), None, "does not say which models"),
    (Served("http://h/v1", tuple(Model(str(number)) for number in range(80))), None, "80 models; which one")])
def test_a_model_that_is_not_clear_is_told_with_what_there_is(served: Served, wanted: str | None, told: str) -> None:
    with pytest.raises(FmloadError) as raised:
        choose(served, wanted)
    assert (told in str(raised.value) and "--model" in str(raised.value)) or "it serves" in str(raised.value)


def test_the_usual_variable_is_used_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert key_variable(None) is None
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert key_variable(None) == "OPENAI_API_KEY"
    with pytest.raises(FmloadError, match="NO_SUCH is not set"):
        key_variable("NO_SUCH")


def test_a_key_that_is_given_for_its_variables_name_is_not_printed() -> None:
    with pytest.raises(FmloadError) as raised:
        key_variable("sk-proj-abcdefghijklmnopqrstuvwxyz0123456789")
    assert "mnopqrstuv" not in str(raised.value) and "looks like a key" in str(raised.value)
