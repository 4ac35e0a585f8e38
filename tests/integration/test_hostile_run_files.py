"""Run files made to hang, fill or crash what reads them: each is refused within two seconds, with line and reason."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest

from fmload.cli.main import main

GOOD = """name: good
endpoints:
  - name: a
    protocol: openai
    url: http://127.0.0.1:9/v1
    model: m
prompts:
  - {name: p, source: synthetic, input_tokens: 5, output_tokens: 5}
load: {concurrency: [1], window: 1s}
"""
LINE_OF = {"endpoint": 6, "load": 9, "prompts": 8, "top": 10}


def load(text: str) -> str:
    return GOOD.replace("{concurrency: [1], window: 1s}", text)


def endpoint(text: str) -> str:
    return GOOD.replace("    model: m", f"    model: m\n    {text}")


def url(text: str) -> str:
    return GOOD.replace("http://127.0.0.1:9/v1", text)


def prompts(text: str) -> str:
    return GOOD.replace("{name: p, source: synthetic, input_tokens: 5, output_tokens: 5}", text)


def top(text: str) -> str:
    return f"{GOOD}{text}\n"


LETTERS = "abcdefghij"
BOMB = "x: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in pairwise(LETTERS))
MAPPINGS = "k0: &k0 {a: 1}\n" + "".join(
    f"k{n}: &k{n} {{<<: [*k{n - 1}, *k{n - 1}], x{n}: 1}}\n" for n in range(1, 40))
SELF = "a: &a [*a]\n"

HOSTILE: dict[str, str] = {
    "an alias bomb": BOMB + GOOD,
    "a bomb of merged mappings": MAPPINGS + GOOD,
    "an alias that contains itself": SELF + GOOD,
    "a mapping merged into itself": "a: &a {<<: *a}\n" + GOOD,
    "6,500 merged mappings": "a: &a {k: 1}\nb:\n" + "".join(f"  k{n}: {{<<: *a}}\n" for n in range(6500)) + GOOD,
    "4 MB before a mistake": "a: " + "b " * 2_000_000 + ": c\n",
    "lists nested 5,000 deep": top("report: {title: " + "[" * 5000 + "]" * 5000 + "}"),
    "lists nested 1,000,000 deep": top("report: " + "[" * 1_000_000),
    "mappings nested 2,000 deep": top("".join(" " * n + "a:\n" for n in range(2000))),
    "mappings in one line, 5,000 deep": top("report: " + "{a: " * 5000 + "1" + "}" * 5000),
    "parameters nested 100 deep": endpoint("parameters: " + "{a: " * 100 + "1" + "}" * 100),
    "5 MB of text": top(f"report: {{title: {'x' * 5_000_000}}}"),
    "a million entries": top("telemetry:\n" + "- 1\n" * 1_000_000),
    "50,000 keys": top("".join(f"k{n}: 1\n" for n in range(50_000))),
    "a number of 5,000 digits": load(f"{{concurrency: [{'9' * 5000}]}}"),
    "a seed of 100 digits": top(f"seed: {'9' * 100}"),
    "a parameter beyond 64 bits": endpoint("parameters: {max_tokens: 100000000000000000000}"),
    "10^20 users": load("{concurrency: [100000000000000000000]}"),
    "10^10 users": load("{concurrency: [10000000000]}"),
    "no users": load("{concurrency: [0]}"),
    "minus one user": load("{concurrency: [-1]}"),
    "half a user": load("{concurrency: [0.5]}"),
    "100,000 levels": load(f"{{concurrency: [{', '.join(['1'] * 15_000)}]}}"),
    "a rate of 1e308": load("{rate: [1e308]}"),
    "an infinite rate": load("{rate: [1e999]}"),
    "a rate of nothing": load("{rate: [0]}"),
    "a rate that is no number": load("{rate: [.nan]}"),
    "a window without length": load("{concurrency: [1], window: 0s}"),
    "a window of a thousand years": load("{concurrency: [1], window: 8766000h}"),
    "a window of so many digits": load(f"{{concurrency: [1], window: {'9' * 100_000}s}}"),
    "a window below nothing": load("{concurrency: [1], window: -5s}"),
    "more arrivals than can be counted": load("{rate: [1000000], window: 720h}"),
    "a billion repeats": load("{concurrency: [1], repeat: 1000000000}"),
    "a million stages": load(f"{{concurrency: [{', '.join(['1'] * 1000)}], repeat: 1000}}"),
    "100,000 workers": load("{concurrency: [1], workers: 100000}"),
    "no workers": load("{concurrency: [1], workers: 0}"),
    "10^12 requests": load("{concurrency: [1], requests: 1000000000000}"),
    "a search up to 10^300": load("{find: {knee: true, to: 1e300}}"),
    "a trace at 1e300 times its speed": load("{trace: {speed: 1e300}}"),
    "a step of a nanosecond": load("{rate: [1], arrivals: {process: step, levels: [1, 2], every: 1ns}}"),
    "a step to 1e300": load("{rate: [1], arrivals: {process: step, levels: [1e300], every: 1s}}"),
    "gaps of no burstiness": load("{rate: [1], arrivals: {process: gamma, burstiness: 1e-300}}"),
    "a day of a nanosecond": load("{rate: [1], arrivals: {process: diurnal, period: 1ns}}"),
    "a weight of 1e308": load("{concurrency: [2], mix: [{endpoint: a, prompts: p, weight: 1e308}]}"),
    "no time to connect": top("timeouts: {connect: 0s}"),
    "an endless time-out": top("timeouts: {total: 1000000h}"),
    "answers of 10^18 bytes": top("max_response: 1000000TiB"),
    "a header with an emoji": endpoint('headers: {X-Team: "\\U0001F600"}'),
    "a header with a line break": endpoint('headers: {X-Team: "a\\r\\nX-Other: b"}'),
    "a header with a NUL": endpoint('headers: {X-Team: "a\\0b"}'),
    "a header's name with a space": endpoint('headers: {"X Team": a}'),
    "a header's name with a line break": endpoint('headers: {"X-Team\\r\\nX": a}'),
    "a header that says how long the body is": endpoint('headers: {Content-Length: "5"}'),
    "a header of a megabyte": endpoint(f"headers: {{X-Team: {'a' * 1_000_000}}}"),
    "a thousand headers": endpoint("headers: {" + ", ".join(f"x-{n}: a" for n in range(1000)) + "}"),
    "a request id in a header that is none": endpoint('request_id_header: "a: b"'),
    "port 0": url("http://127.0.0.1:0/v1"),
    "port 99999": url("http://127.0.0.1:99999/v1"),
    "a port in words": url("http://127.0.0.1:http/v1"),
    "a URL without a host": url("http:///v1"),
    "a URL of a file": url("file:///etc/passwd"),
    "a URL with a line break": url('"http://127.0.0.1:9/v1\\r\\nX: y"'),
    "a URL with a space": url('"http://127.0.0.1:9/v 1"'),
    "a URL with an emoji": url('"http://127.0.0.1:9/\\U0001F600"'),
    "a URL with half an IPv6 address": url("http://[::1/v1"),
    "a lone surrogate": endpoint('parameters: {stop: "\\uD800"}'),
    "a name of 5,000 characters": GOOD.replace("name: a\n", f"name: {'a' * 5000}\n"),
    "a name that climbs": GOOD.replace("name: a\n", "name: ../../etc\n"),
    "a name with a slash": prompts("{name: a/b, source: synthetic, input_tokens: 5}"),
    "prompts of 10^15 tokens": prompts("{name: p, source: synthetic, input_tokens: 1000000000000000}"),
    "10^15 prompts": prompts("{name: p, source: synthetic, input_tokens: 5, count: 1000000000000000}"),
    "a lognormal length without a mean": prompts(
        "{name: p, source: synthetic, input_tokens: {kind: lognormal, min: 1, max: 5}}"),
    "a length of 1e308 with a spread": prompts(
        "{name: p, source: synthetic, input_tokens: {mean: 1e308, stddev: 1e308}}"),
    "a Python object": top("report: !!python/object/apply:os.system [id]"),
    "a tag of somebody's own": top("report: !secret x"),
    "a key twice": top("name: again"),
    "a list for a mapping": "- 1\n- 2\n",
    "nothing": "",
    "two documents": GOOD + "---\n" + GOOD,
    "a tab": GOOD.replace("    model", "\tmodel"),
    "a control character": top("report: {title: \x01}"),
    "a price of 1e300": endpoint("price: {hourly: 1e300}"),
    "a collector without a pause": top("telemetry: [{name: t, collector: nvidia_smi, every: 0s}]"),
}


COMMANDS: dict[str, list[str]] = {"validate": [], "run": ["--yes", "--out"]}


def refused(text: str, folder: Path, capsys: pytest.CaptureFixture[str],
            command: str = "validate") -> tuple[str, float]:
    """What a command says of a run file that it refuses, and the seconds of CPU that it took to."""
    path, out = folder / "run.yml", folder / "out"
    path.write_text(text, encoding="utf-8")
    options = [*COMMANDS[command], str(out)] if COMMANDS[command] else []
    begun = time.process_time()
    code = main([command, str(path), *options])
    taken_s = time.process_time() - begun
    captured = capsys.readouterr()
    assert code == 2, captured.out
    assert not out.exists(), "nothing is made"
    return captured.err, taken_s


def test_the_file_that_they_are_made_of_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.yml"
    path.write_text(GOOD)
    assert main(["validate", str(path)]) == 0


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_run_file_is_refused_with_line_and_reason_in_two_seconds(
        name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["validate", "--json-schema"])  # what is imported the first time is not counted
    told, taken_s = refused(HOSTILE[name], tmp_path, capsys, command)
    assert re.search(r"run\.yml:\d+: \S.{8,}", told), told
    assert "Traceback" not in told and len(told) < 20_000
    assert taken_s < 2.0, f"{taken_s:.1f} s"


def test_all_problems_are_told_in_one_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = load("{rate: [1e308], window: 0s, workers: 100000, repeat: 1000000000}").replace(
        "    model: m", '    model: m\n    headers: {X-Team: "\\U0001F600", "X Y": a}').replace(
        "http://127.0.0.1:9/v1", "http://127.0.0.1:0/v1")
    told, _ = refused(text, tmp_path, capsys)
    for key in ("endpoints[0].url", "endpoints[0].headers.X-Team", "endpoints[0].headers.X Y", "load.rate[0]",
                "load.window", "load.workers", "load.repeat"):
        assert f": {key}: " in told, told


@pytest.mark.parametrize("key", ["api-key", "Authorization"])
def test_a_variable_that_is_not_set_is_refused_with_its_line_before_anything_is_sent(
        key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.yml"
    path.write_text(endpoint(f"headers: {{{key}: 'Bearer ${{FMLOAD_TEST_ABSENT}}'}}"))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert f"run.yml:7: endpoints[0].headers.{key}: the environment variable FMLOAD_TEST_ABSENT is not set" in told
    assert not (tmp_path / "out").exists()
