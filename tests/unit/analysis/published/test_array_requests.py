"""The arrays of vLLM and SGLang, one entry a request, become our records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from right_files import Load, sglang, simulated, vllm

from fmload.base.errors import FmloadError
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.published.recorded import write_run
from fmload_analysis.published.rows.published import Published
from fmload_analysis.published.rows.request import LAID_OUT
from fmload_analysis.published.rows.sweep import read_published, read_sweep
from fmload_analysis.run import open_run
from fmload_analysis.verdict.table import StageResult


def arrays(load: Load, told_starts: bool) -> dict[str, Any]:
    content = vllm(load, detailed=True)
    if told_starts:
        content |= {"start_times": (load.send + 812.5).tolist(), "latencies": (load.e2e + 0.0).tolist()}
    return content


def sglang_arrays(load: Load) -> dict[str, Any]:
    kept = ("input_lens", "output_lens", "ttfts", "itls", "generated_texts", "errors")
    return sglang(load) | {name: value for name, value in vllm(load, detailed=True).items() if name in kept}


def read(tmp_path: Path, content: dict[str, Any]) -> Published:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content, default=float))
    return read_published(path)


def result(tmp_path: Path, content: dict[str, Any]) -> StageResult:
    """The stage that our analysis finds in the folder of the file's requests."""
    read(tmp_path, content)
    folder = write_run(tmp_path / "run", read_sweep([tmp_path / "r.json"]))
    assert folder is not None
    (found,) = analyse_run(open_run(folder)).results
    return found


@pytest.mark.parametrize("write", [lambda load: arrays(load, True), lambda load: arrays(load, False), sglang_arrays],
                         ids=["vllm with starts", "vllm", "sglang"])
@pytest.mark.parametrize("seed", [1, 3])
def test_every_metric_of_the_arrays_is_ours(tmp_path: Path, write: Any, seed: int) -> None:
    load = simulated(seed)
    found = result(tmp_path, write(load))
    assert found.totals.completed == load.count
    for name, values in (("ttft", load.ttft), ("tpot", load.tpot), ("icl", load.all_gaps), ("itl", load.all_gaps),
                         ("e2e", load.e2e)):
        assert found.value(f"{name}_mean") == pytest.approx(values.mean(), rel=1e-6)
    assert found.value("output_tokens_mean") == pytest.approx(load.made.mean())
    assert found.value("input_tokens_mean") == pytest.approx(load.given.mean())
    stage = found.summary.stage.load
    assert (stage.kind, stage.value) == (("concurrency", load.users) if load.users else (
        "rate", pytest.approx(load.rate)))


def test_told_start_instants_are_kept_and_nothing_is_said_of_a_layout(tmp_path: Path) -> None:
    load = simulated(3)
    published = read(tmp_path, arrays(load, True))
    assert [one.send_s for one in published.rows[0].requests] == pytest.approx((load.send + 812.5).tolist())
    assert LAID_OUT not in published.notes


def test_without_start_instants_a_closed_loop_is_laid_out_as_it_was_sent_and_said_to_be(tmp_path: Path) -> None:
    load = simulated(1)
    published = read(tmp_path, arrays(load, False))
    assert [one.send_s for one in published.rows[0].requests] == pytest.approx(load.send.tolist(), abs=1e-6)
    assert LAID_OUT in published.notes
    folder = write_run(tmp_path / "run", read_sweep([tmp_path / "r.json"]))
    assert folder and "start instants laid out by the load" in (folder / "run.yml").read_text()


def test_a_request_with_an_error_is_a_failure_and_a_traceback_its_last_line(tmp_path: Path) -> None:
    content = arrays(simulated(1), False)
    content["errors"][2] = "Traceback (most recent call last):\n  File x\nTimeoutError: no answer in 10 s\n"
    content["ttfts"][2], content["itls"][2], content["output_lens"][2] = 0.0, [], 0
    row = read(tmp_path, content).rows[0]
    assert [one.error for one in row.requests if one.error] == ["TimeoutError: no answer in 10 s"]


def test_a_request_without_a_first_token_failed_where_no_errors_are_kept(tmp_path: Path) -> None:
    content = arrays(simulated(1), False)
    del content["errors"]
    content["ttfts"][4], content["itls"][4], content["output_lens"][4] = 0.0, [], 0
    row = read(tmp_path, content).rows[0]
    assert [at for at, one in enumerate(row.requests) if one.error] == [4]


@pytest.mark.parametrize("name", ["itls", "output_lens", "start_times", "latencies", "input_lens"])
def test_arrays_of_different_lengths_are_told_with_their_name(tmp_path: Path, name: str) -> None:
    content = arrays(simulated(1), True)
    content[name] = content[name][:-1]
    with pytest.raises(FmloadError, match=rf"r\.json.*{name} has \d+ entries, ttfts \d+") as error:
        read(tmp_path, content)
    assert error.value.hint


def test_an_entry_that_is_no_number_is_told_with_its_place(tmp_path: Path) -> None:
    content = arrays(simulated(1), True)
    content["ttfts"][7] = "fast"
    with pytest.raises(FmloadError, match=r"ttfts\[7\] holds 'fast', not a number"):
        read(tmp_path, content)
