"""What becomes of the values: units, paths, --set, and the resolved file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.base import redaction
from fmload.base.errors import FmloadError
from fmload.config import LoadSpec, RunFile, RunFileError, dump, parse
from fmload.config.overrides import split
from fmload.config.yaml_lines import parse as parse_yaml
from fmload.config.yaml_lines import write

TEXT = """\
name: sample
endpoints:
  - name: one
    protocol: openai
    url: http://user:hunter2@h/v1
    tokenizer: tok
    headers: {Authorization: Bearer hunter2, X-Api-Key: hunter2, Cookie: hunter2, X-Team: blue}
    api_key_env: SOME_KEY
  - name: two
    protocol: openai
    deploy: {target: local, command: [serve], env: {HF_TOKEN: hunter2, THREADS: "4"}}
prompts:
  - {name: q, source: jsonl, files: [data/*.jsonl, "s3://b/k", "hf:o/n/f", /abs/f], template: t.txt,
     filter: {tokens: [1, 500]}}
  - {name: c, source: conversation, turns: {min: 1, max: 3}, input_tokens: 5, answer_tokens: 5, think: 1500ms}
load: {rate: [0.5, 2], window: 1m30s, ramp: 0, arrivals: poisson}
objectives: {ttft_p95: 800ms, error_rate: 1%, price_per_10k_transactions: 50, requests_per_s: 4}
prices: prices.yml
"""


def read(text: str, *sets: str, folder: Path = Path("/base")) -> RunFile:
    return parse(text, "x.yml", folder, sets)


def test_durations_become_seconds() -> None:
    load = read(TEXT).load
    assert (load.window_s, load.ramp_s, load.warmup.limit_s) == (90.0, 0.0, 10.0)
    assert read(TEXT).prompts[1].options.think_s == 1.5


def test_seconds_from_code_need_no_unit() -> None:
    assert LoadSpec(concurrency=[1], window_s=2.5).window_s == 2.5


def test_relative_paths_start_from_the_run_file_and_addresses_stay() -> None:
    run_file = read(TEXT)
    assert run_file.prompts[0].options.files == ["/base/data/*.jsonl", "s3://b/k", "hf:o/n/f", "/abs/f"]
    assert (run_file.prompts[0].template, run_file.prices) == ("/base/t.txt", "/base/prices.yml")


def test_a_tokenizer_is_a_path_only_where_there_is_such_a_folder(tmp_path: Path) -> None:
    assert read(TEXT, folder=tmp_path).endpoints[0].tokenizer == "tok"
    (tmp_path / "tok").mkdir()
    assert read(TEXT, folder=tmp_path).endpoints[0].tokenizer == str(tmp_path / "tok")


def test_names_of_fmloads_own_stay_whatever_a_secret_is() -> None:
    before = dict(redaction._forms)
    try:
        for word in ("bedrock-of-our-team", "jsonl-key-1"):
            redaction.protect(word)
        text = dump(read("name: s\nendpoints: [{name: a, protocol: bedrock, model: m, region: us-east-1}]\n"
                         "prompts: [{name: q, source: jsonl, files: [a.jsonl]}]\nload: {concurrency: [1]}\n"))
    finally:
        redaction._forms.clear()
        redaction._forms.update(before)
    assert "protocol: bedrock" in text and "source: jsonl" in text


def test_aws_endpoints_are_in_the_runs_region_unless_they_name_their_own() -> None:
    endpoints = ("endpoints: [{name: a, protocol: bedrock, model: m}, {name: b, protocol: sagemaker, "
                 "region: eu-west-1}, {name: c, protocol: openai, url: http://h/v1}]\nregion: us-west-2\n")
    text = endpoints + TEXT.partition("prompts:")[1] + TEXT.partition("prompts:")[2] + "name: s\n"
    resolved = dump(read(text))
    for run_file in (read(text), read(resolved), RunFile.model_validate(yaml.safe_load(resolved))):
        assert [one.options.region for one in run_file.endpoints] == ["us-west-2", "eu-west-1", None]


def test_a_whole_number_is_a_fixed_length() -> None:
    length = read(TEXT).prompts[1].options.input_tokens
    assert (length.drawn, length.mean) == ("fixed", 5)


def test_the_resolved_file_loads_again_as_itself() -> None:
    resolved = dump(read(TEXT))
    assert dump(read(resolved)) == resolved


def test_the_resolved_file_holds_no_secret_and_keeps_the_rest() -> None:
    resolved = dump(read(TEXT))
    assert "hunter2" not in resolved
    one, two = yaml.safe_load(resolved)["endpoints"]
    assert one["headers"] == dict.fromkeys(("Authorization", "X-Api-Key", "Cookie", "X-Team"), "(masked)")
    assert one["api_key_env"] == "SOME_KEY"
    assert two["deploy"]["env"]["THREADS"] == "4"


@pytest.mark.parametrize(("setting", "read_back"), [
    ("load.window=30s", lambda run: run.load.window_s == 30),
    ("endpoints[0].url=http://other/v1", lambda run: run.endpoints[0].url == "http://other/v1"),
    ("endpoints[two].stream=false", lambda run: run.endpoints[1].stream is False),
    ("load.rate[1]=7", lambda run: run.load.rate == [0.5, 7]),
    ("load.rate=[3]", lambda run: run.load.rate == [3]),
    ("endpoints[0].parameters.temperature=0.5", lambda run: run.endpoints[0].parameters == {"temperature": 0.5}),
    ("report.title=a=b", lambda run: run.report.title == "a=b"),
    ("endpoints[0].model=", lambda run: run.endpoints[0].model is None),
])
def test_set_puts_a_value_over_the_files(setting: str, read_back: object) -> None:
    assert callable(read_back)
    assert read_back(read(TEXT, setting))


@pytest.mark.parametrize(("setting", "expected"), [
    ("load.windw=30s", "--set load.windw=30s: load.windw: unknown key 'windw'; did you mean 'window'?"),
    ("load.window=30", "--set load.window=30: load.window: 30 has no unit"),
    ("prompts[q].source=x", "--set prompts[q].source=x: prompts[0].source: unknown prompt source 'x'"),
])
def test_a_problem_that_a_set_brought_names_the_set(setting: str, expected: str) -> None:
    with pytest.raises(RunFileError) as raised:
        read(TEXT, setting)
    assert str(raised.value.problems[0]).startswith(expected)


@pytest.mark.parametrize("setting", ["load.window", "=1", "load..window=1", "load.rate[9]=1", "endpoints[three].url=x",
                                     "name.deeper=1", "load.rate=[1", "endpoints.url=x"])
def test_a_set_that_fits_nowhere_is_refused_by_name(setting: str) -> None:
    with pytest.raises(FmloadError) as raised:
        read(TEXT, setting)
    assert f"--set {setting}" in raised.value.message


@given(st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), min_size=1, max_size=5), st.integers())
def test_a_dotted_key_is_split_at_its_dots(keys: list[str], value: int) -> None:
    assert split(f"{'.'.join(keys)}={value}") == (tuple(keys), value)


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]))
_SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_KEY = st.from_regex(r"[a-z]{1,5}", fullmatch=True)


@settings(max_examples=60)
@given(st.recursive(_SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEY, inner, max_size=3),
                    max_leaves=8))
def test_what_json_says_is_read_as_json_says_it(value: object) -> None:
    """JSON is YAML 1.2; nothing in it is read as a date, a time or a yes."""
    document = parse_yaml(json.dumps(value, ensure_ascii=False))
    assert document.value == value
    assert not document.problems


@settings(max_examples=60)
@given(st.recursive(_SCALAR | st.sampled_from(["1e3", "on", "1:30", "0x10", "~", "1_000", "", "<<", "2024-01-01"]),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEY, inner, max_size=3),
                    max_leaves=8))
def test_what_is_written_is_read_as_the_same_values(value: object) -> None:
    document = parse_yaml(write(value))
    assert document.value == value
    assert not document.problems


def test_yaml_1_1_surprises_are_text() -> None:
    document = parse_yaml("[on, no, 1:30, 2024-01-01, 1_000, 0x10]")
    assert document.value == ["on", "no", "1:30", "2024-01-01", "1_000", "0x10"]
