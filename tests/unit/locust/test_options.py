from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.locust.options import add_arguments, run_file, with_usual_key
from fmload.plan.stages import plan


class LocustParser(argparse.ArgumentParser):
    """Takes the further keywords of Locust's parser."""

    def add_argument(self, *names: Any, env_var: str = "", include_in_web_ui: bool = True, **keywords: Any) -> Any:
        return super().add_argument(*names, **keywords)


def given(*options: str, users: int | None = None, rate: float | None = None, run_time: int | None = None) -> Any:
    parser = LocustParser()
    add_arguments(parser)
    parsed = parser.parse_args(options)
    parsed.num_users, parsed.spawn_rate, parsed.run_time = users, rate, run_time
    return parsed


def test_users_rate_and_time_are_one_stage_whose_window_ends_with_the_time() -> None:
    run = run_file(given(users=8, rate=2, run_time=60), "http://h:1/v1", "openai")
    stage, = plan(run)
    assert (stage.load.value, stage.ramp_s, stage.warmup_s, stage.window_s) == (8, 4.0, 5.0, 51.0)
    assert (run.endpoints[0].url, run.endpoints[0].protocol) == ("http://h:1/v1", "openai")


def test_a_sweep_is_a_list_of_concurrencies() -> None:
    run = run_file(given("--fmload-concurrency", "1, 2,8", "--fmload-window", "30s"), "http://h", "openai")
    assert [(stage.load.value, stage.window_s) for stage in plan(run)] == [(1, 30.0), (2, 30.0), (8, 30.0)]


def test_model_key_lengths_and_parameters_reach_the_endpoint() -> None:
    run = run_file(given("--fmload-model", "meta/Llama 3", "--fmload-api-key-env", "KEY", "--fmload-parameters",
                         '{"temperature": 0.5}', "--fmload-output-tokens", "7"), "http://h", "openai")
    spec = run.endpoints[0]
    assert (spec.name, spec.model, spec.options.api_key_env) == ("meta-Llama-3", "meta/Llama 3", "KEY")
    assert spec.parameters == {"temperature": 0.5}
    assert run.prompts[0].output_tokens is not None
    assert run.prompts[0].output_tokens.mean == 7


def test_models_for_embeddings_and_rankings_are_endpoints_beside_the_chats_at_the_same_host() -> None:
    run = run_file(given("--fmload-model", "m", "--fmload-embed-model", "e", "--fmload-rerank-model", "r"), "http://h",
                   "openai", scripted=True)
    assert [(spec.name, spec.protocol, spec.model, spec.url) for spec in run.endpoints] == [
        ("m", "openai", "m", "http://h"), ("embeddings", "embeddings", "e", "http://h"),
        ("rankings", "rerank", "r", "http://h")]
    assert run.load.side_by_side
    with pytest.raises(FmloadError, match=r"--fmload-rerank-model r: client\.rerank of an OpenAIUser"):
        run_file(given("--fmload-rerank-model", "r"), "http://h", "bedrock", scripted=True)


def keyed(*options: str, protocol: str = "openai", **more: Any) -> str:
    parsed = given(*options)
    vars(parsed).update({"headless": True, "master": False, "worker": False, "host": "http://h", **more})
    assert with_usual_key(parsed, protocol) == (parsed.fmload_api_key_env == "OPENAI_API_KEY")
    return str(parsed.fmload_api_key_env)


def test_the_usual_key_is_taken_where_it_is_set_and_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert keyed() == ""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert keyed() == "OPENAI_API_KEY" == keyed("--fmload-urls", "http://a", host=None)
    assert keyed("--fmload-api-key-env", "MINE") == "MINE"


@pytest.mark.parametrize("unlike", [
    {"headless": False}, {"master": True}, {"worker": True}, {"host": None}, {"protocol": "anthropic"}])
def test_the_usual_key_goes_only_to_the_server_that_the_command_line_names(
        unlike: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert keyed(**unlike) == ""


def test_several_addresses_stand_in_place_of_the_host() -> None:
    run = run_file(given("--fmload-urls", "http://a/v1, http://b/v1", "--fmload-balance", "least_busy"), "http://h",
                   "openai")
    assert (run.endpoints[0].urls, run.endpoints[0].balance) == (["http://a/v1", "http://b/v1"], "least_busy")
    assert run.endpoints[0].url is None


@pytest.mark.parametrize(("options", "words"), [
    (("--fmload-concurrency", "1,two"), "not a list of whole numbers"),
    (("--fmload-parameters", "temperature"), "not a mapping"),
    (("--fmload-warmup", "5"), "not a duration"),
    (("--fmload-config", "nothing.yml"), "nothing.yml"),
])
def test_what_cannot_be_a_run_is_told_with_the_option(options: tuple[str, ...], words: str) -> None:
    with pytest.raises(FmloadError, match=words):
        run_file(given(*options), "http://h", "openai")


def test_an_endpoint_that_is_still_to_be_deployed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.yml"
    path.write_text("""
name: r
endpoints: [{name: e, protocol: openai, deploy: {target: local, emulator: steady}}]
prompts: [{name: p, source: synthetic, input_tokens: 5}]
load: {concurrency: [1]}
""")
    with pytest.raises(FmloadError, match="to be deployed"):
        run_file(given("--fmload-config", str(path)), None, "openai")


def test_locusts_web_ui_listens_on_the_loopback_unless_asked_otherwise() -> None:
    parser = LocustParser()
    parser.add_argument("--web-host", default="")
    add_arguments(parser)
    assert parser.parse_args([]).web_host == "127.0.0.1"
    assert parser.parse_args(["--web-host", "0.0.0.0"]).web_host == "0.0.0.0"


def test_the_model_is_asked_of_the_server_where_none_is_given() -> None:
    asked: list[tuple[str, str | None]] = []

    def ask(url: str, variable: str | None) -> str:
        asked.append((url, variable))
        return "served"

    run = run_file(given("--fmload-api-key-env", "KEY"), "http://h:1/v1", "openai", ask)
    assert (run.endpoints[0].model, asked) == ("served", [("http://h:1/v1", "KEY")])
    assert run_file(given("--fmload-model", "mine"), "http://h", "openai", ask).endpoints[0].model == "mine"
    assert run_file(given("--fmload-urls", "http://a/v1,http://b/v1"), "http://h", "openai", ask).endpoints[0].urls
    assert [url for url, _ in asked] == ["http://h:1/v1", "http://a/v1"]
