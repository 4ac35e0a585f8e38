"""A bad run file: every problem in one pass, each with its place, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.config import RunFile, RunFileError, load, parse
from fmload.plugins import ENDPOINTS

GOOD = """\
name: sample
endpoints:
  - name: one
    protocol: openai
    url: http://127.0.0.1:8000/v1
    model: m
prompts:
  - name: short
    source: synthetic
    input_tokens: 60
load:
  concurrency: [1, 2]
"""


def read(text: str, *sets: str) -> RunFile:
    return parse(text, "x.yml", Path("/base"), sets)


def problems(text: str, *sets: str) -> list[str]:
    with pytest.raises(RunFileError) as raised:
        read(text, *sets)
    return [str(problem) for problem in raised.value.problems]


def test_a_good_file_loads_with_its_values_and_defaults() -> None:
    run_file = read(GOOD)
    assert run_file.endpoints[0].options.api == "chat"
    assert run_file.prompts[0].options.input_tokens.mean == 60
    assert (run_file.load.ramp_s, run_file.load.window_s) == (5.0, None)


@pytest.mark.parametrize(("old", "new", "expected"), [
    ("    model: m", "    parmeters: {}",
     "x.yml:6: endpoints[0].parmeters: unknown key 'parmeters'; did you mean 'parameters'?"),
    ("    model: m", "    api_keyenv: X",
     "x.yml:6: endpoints[0].api_keyenv: unknown key 'api_keyenv'; did you mean 'api_key_env'?"),
    ("    model: m", "    model: 8", "x.yml:6: endpoints[0].model: must be text, not 8; put it in quotes: '8'"),
    ("    model: m", "    stream: 'yes'", "x.yml:6: endpoints[0].stream: must be true or false, not 'yes'"),
    ("    model: m", "    stream: yes", "x.yml:6: endpoints[0].stream: must be true or false, not 'yes'"),
    ("    model: m", "    include_usage: 1", "x.yml:6: endpoints[0].include_usage: must be true or false, not 1"),
    ("protocol: openai", "protocol: open-ai",
     "x.yml:4: endpoints[0].protocol: unknown endpoint protocol 'open-ai'; did you mean 'openai'?; known: "
     + ", ".join(ENDPOINTS.names())),
    ("    url: http://127.0.0.1:8000/v1", "    urls: [http://h/v1, http://h/v1]",
     "x.yml:5: endpoints[0].urls[1]: 'http://h/v1' stands here twice; give each address once"),
    ("    model: m", "    balance: least_busy",
     "x.yml:6: endpoints[0].balance: goes with several addresses; give them as urls"),
    ("    protocol: openai\n", "", "x.yml:3: endpoints[0].protocol: is missing; add 'protocol'"),
    ("name: one", "name: a/b",
     "x.yml:3: endpoints[0].name: 'a/b' may hold only letters, digits, '.', '_' and '-', and begins with a letter"),
    ("input_tokens: 60", "input_tokens: {mean: 60, sdev: 3}",
     "x.yml:10: prompts[0].input_tokens.sdev: unknown key 'sdev'; did you mean 'stddev'?"),
    ("input_tokens: 60", "input_tokens: sixty",
     "x.yml:10: prompts[0].input_tokens: must be a mapping, not 'sixty'"),
    ("    input_tokens: 60\n", "", "x.yml:8: prompts[0].input_tokens: is missing; add 'input_tokens'"),
    ("input_tokens: 60", "input_tokens: {min: 9, max: 3}", "x.yml:10: prompts[0].input_tokens.min: 9 is above max, 3"),
    ("input_tokens: 60", "input_tokens: {stddev: 3}",
     "x.yml:10: prompts[0].input_tokens: needs 'mean' (and 'stddev'), or 'min' and 'max'"),
    ("concurrency: [1, 2]", "concurrency: [1, 0]", "x.yml:12: load.concurrency[1]: must be at least 1, not 0"),
    ("concurrency: [1, 2]", "concurrency: 4", "x.yml:12: load.concurrency: must be a list, not 4; write it as [4]"),
    ("concurrency: [1, 2]", "concurrency: []", "x.yml:12: load.concurrency: needs at least one level"),
    ("concurrency: [1, 2]", "window: 60s",
     "x.yml:11: load: give exactly one of concurrency, rate, find and trace; here: none of them"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\n  rate: [2]",
     "x.yml:13: load.rate: give exactly one of concurrency, rate, find and trace; here: concurrency and rate"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\n  requests: 9\n  window: 9s",
     "x.yml:13: load.requests: give one of window, requests and until, not window and requests"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\ntelemetry:\n  - {name: gpu, collector: nvidia_smi, endpoint: oen}",
     "x.yml:14: telemetry[0].endpoint: no endpoint of this run is named 'oen'; did you mean 'one'?"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\n  window: 60",
     "x.yml:13: load.window: 60 has no unit; write a duration such as 500ms, 10s, 2m or 1h"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\n  window: 5 parsecs",
     "x.yml:13: load.window: '5 parsecs' is not a duration; write a number with its unit, such as 500ms, 10s"),
    ("  concurrency: [1, 2]", "  rate: [1]\n  arrivals: poison",
     "x.yml:13: load.arrivals: unknown arrival process 'poison'; did you mean 'poisson'?"),
    ("  concurrency: [1, 2]", "  rate: [1]\n  arrivals: {process: ramp, form: 0.5, over: 9s}",
     "x.yml:13: load.arrivals.form: unknown key 'form'; did you mean 'from'?"),
    ("  concurrency: [1, 2]", "  rate: [1]\n  arrivals: {process: diurnal, period: 60}",
     "x.yml:13: load.arrivals.period: 60 has no unit; write a duration such as 500ms, 10s, 2m or 1h"),
    ("  concurrency: [1, 2]", "  rate: [1]\n  arrivals: {process: step, levels: [1, 0], every: 9s}",
     "x.yml:13: load.arrivals.levels: ends in 0"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\n  arrivals: poisson",
     "x.yml:13: load.arrivals: belongs to an open loop (rate)"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\nobjectives: {ttft_p59: 2s, tfft_p95: 2s}",
     "x.yml:13: objectives.tfft_p95: unknown metric 'tfft_p95'; did you mean 'ttft_p95'?"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\nobjectives:\n  ttft_p95: 2",
     "x.yml:14: objectives.ttft_p95: 2 has no unit; write a duration such as 2s or 500ms"),
    ("  concurrency: [1, 2]", "  concurrency: [1]\nobjectives: {itl: 2s}",
     "x.yml:13: objectives.itl: say which statistic of itl, for example itl_p95"),
    ("url: http://127.0.0.1:8000/v1", "url: 127.0.0.1:8000/v1",
     "x.yml:5: endpoints[0].url: '127.0.0.1:8000/v1' is not a URL; write http://host:port/v1"),
    ("url: http://127.0.0.1:8000/v1", "urls: [http://a:8000, ftp://b]",
     "x.yml:5: endpoints[0].urls[1]: 'ftp://b' is not a URL; write http://host:port/v1"),
    ("url: http://127.0.0.1:8000/v1", "url: http://h:99999", "x.yml:5: endpoints[0].url: 'http://h:99999' is not"),
    ("url: http://127.0.0.1:8000/v1", "url: http://h:80x0/v1", "x.yml:5: endpoints[0].url: 'http://h:80x0/v1' is not"),
    ("name: sample", "name: sample\nseed: 1.5", "x.yml:2: seed: must be a whole number, not 1.5"),
    ("name: sample", "name: 2024", "x.yml:1: name: must be text, not 2024; put it in quotes: '2024'"),
    ("name: sample", "name: sample\nname: again", "x.yml:2: name: 'name' stands twice (first on line 1); keep one"),
    ("name: sample", "name: !!python/name:os.system sample",
     "x.yml:1: name: the tag tag:yaml.org,2002:python/name:os.system is not allowed; write plain values"),
])
def test_each_problem_names_line_key_value_and_remedy(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    found = problems(GOOD.replace(old, new))
    assert any(problem.startswith(expected) for problem in found), found


def test_all_problems_come_in_one_pass_in_the_order_of_the_lines() -> None:
    text = GOOD.replace("name: one", "name: 1").replace("model: m", "modle: m").replace("60", "0").replace("1, 2", "0")
    places = [problem.split(" ")[0] for problem in problems(text)]
    assert places == ["x.yml:3:", "x.yml:6:", "x.yml:10:", "x.yml:12:"]


def test_options_of_an_unknown_entry_are_not_blamed_but_misspelt_common_keys_are() -> None:
    text = GOOD.replace("protocol: openai", "protocol: zzz").replace("model: m", "modle: m\n    anything: 1")
    assert [problem.split(": ")[1] for problem in problems(text)] == ["endpoints[0].protocol", "endpoints[0].modle"]


def test_names_used_twice_are_named_at_the_later_entry() -> None:
    text = GOOD.replace("prompts:", "  - {name: one, protocol: openai, url: http://h/v1}\nprompts:")
    assert problems(text) == ["x.yml:7: endpoints[1].name: 'one' names an earlier entry too; the results tell them "
                              "apart by name"]


def test_an_openai_endpoint_needs_an_address() -> None:
    assert problems(GOOD.replace("    url: http://127.0.0.1:8000/v1\n", ""))[0].endswith("give url, urls or deploy")


@pytest.mark.parametrize(("text", "expected"), [
    ("", "x.yml:1: the file is empty"),
    ("# nothing\n", "x.yml:1: the file is empty"),
    ("- a\n- b\n", "x.yml:1: the file must be a mapping of keys, not a list"),
    ("just text", "x.yml:1: the file must be a mapping of keys, not 'just text'"),
    ("name: x\nload:\n\tramp: 5s\n", "x.yml:3: a tab; indent with spaces"),
    ("name: [1, 2\nload: {}\n", "x.yml:2: "),
    ("name: a: b\n", "x.yml:1: a ':' where none can stand"),
    ("name: x\n---\nname: y\n", "x.yml:2: "),
    ("name: 'x\n", "x.yml:2: "),
    ("name: \x07\n", "x.yml:1: a character that YAML forbids"),
    ("a: *b\n", "x.yml:1: found undefined alias 'b'"),
])
def test_what_is_not_a_run_file_is_said_with_its_line(text: str, expected: str) -> None:
    assert problems(text)[0].startswith(expected)


def test_an_alias_inside_itself_is_a_problem_not_an_endless_loop() -> None:
    assert any("an alias that contains itself" in problem for problem in problems("a: &a [*a]\n"))


def test_merge_keys_give_values_and_own_keys_win() -> None:
    text = GOOD.replace("prompts:", "  - &two {name: two, protocol: openai, url: http://h/v1, stream: false}\n"
                                    "  - <<: *two\n    name: three\nprompts:")
    assert [(one.name, one.stream) for one in read(text).endpoints][1:] == [("two", False), ("three", False)]


@pytest.mark.parametrize(("content", "expected"), [
    (None, "No such file"), (b"name: \xff\xfe", "not UTF-8"),
    ("name: x\n".encode("utf-16"), "UTF-16LE text"), ("name: x\n".encode("utf-16-le"), "UTF-16LE text"),
    ("name: x\n".encode("utf-16-be"), "UTF-16BE text")])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "run.yml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FmloadError, match=expected) as raised:
        load(path)
    assert str(path) in raised.value.message


def test_a_folder_in_place_of_a_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize(("source", "knows"), [
    ("synthetic, input_tokens: 9", ()), ("fixed", ()), ("random, input_tokens: 9", ()),
    ("shared_prefix, prefix_tokens: 9, input_tokens: 9", ()),
    ("conversation, turns: 2, input_tokens: 9, answer_tokens: 9", ()), ("mooncake, files: [x]", ()),
    ("log, files: [x]", ("template",)), ("sharegpt, files: [x]", ("language",)),
    ("openorca, files: [x]", ("language",)), ("jsonl, files: [x]", ("template", "language")),
    ("qmsum, files: [x]", ("template", "language")),
    ("longbench", ("template", "language"))])
def test_keys_that_a_source_cannot_apply_are_refused(source: str, knows: tuple[str, ...]) -> None:
    text = f"""name: t
endpoints: [{{name: e, protocol: openai, url: "http://127.0.0.1:1/v1"}}]
load: {{concurrency: [1]}}
prompts: [{{name: p, template: t.txt, filter: {{language: en}}, source: {source}}}]
"""
    try:
        parse(text, "x.yml", Path("/base"))
        problems = []
    except RunFileError as error:
        problems = [str(problem) for problem in error.problems]
    name = source.split(",")[0]
    assert problems == [told for key, told in (
        ("template", f"x.yml:4: prompts[0].template: source '{name}' takes no template; leave it out"),
        ("language", f"x.yml:4: prompts[0].filter.language: source '{name}' knows no languages; leave it out"))
        if key not in knows]
