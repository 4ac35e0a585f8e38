"""Whole reports of small results folders, as text. The glossary is left out: it is the metrics' own docstrings."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from handmade import BASE_NS, MS, request, stage, write
from rich.console import Console
from simulated import G5, sweep

from fmload.model.outcome import Outcome
from fmload.model.record import Record
from fmload.results.folder import Results
from fmload_analysis.pipeline import analyse
from fmload_analysis.report.terminal import headline
from fmload_analysis.verdict.analysis import Analysis

Golden = Callable[[str, str], None]
PRICED = {"name": "a", "protocol": "openai", "url": "http://127.0.0.1:8000/v1", "price": {"hourly": 0.76}}


def ordinary(root: Path) -> Results:
    """Two endpoints, one prompt set, two levels; one of them throttles now and then."""
    return sweep(root, levels=(1, 8), sizes={"mean_550": (550, 30)}, window_s=20)


def every_failure(root: Path) -> Results:
    """Each outcome once beside five good requests; a lost worker; a second stage cut short by the user."""
    records = [request(f"ok{k}", 100 * k, [100 * k + 40, 100 * k + 60, 100 * k + 80]) for k in range(5)]
    records += [_failure(outcome, 500 + 10 * k) for k, outcome in enumerate(get_args(Outcome)) if outcome != "ok"]
    lost = {"kind": "worker_lost", "at_ns": BASE_NS + 300 * MS, "worker": "w1", "detail": "no heartbeat | for `10 s`"}
    stages = [stage(0, concurrency=2, marks=[lost], workers=["w0", "w1"]),
              stage(1, concurrency=4, status="interrupted", start_ns=BASE_NS + 5000 * MS, window_end_ns=0,
                    drain_end_ns=0)]
    results = write(root, stages, records, spec={"endpoints": [PRICED], "objectives": {"error_rate": 0, "ttft": "1s"}},
                    workers=[{"worker": "w0", "host": "h"}, {"worker": "w1", "host": "h", "lost_ns": BASE_NS}])
    results.events_jsonl.write_text(json.dumps({**lost, "stage": 0}) + "\n")
    return results


def _failure(outcome: str, at_ms: float) -> Record:
    begun = outcome in ("timeout_idle", "stream_error", "truncated", "cancelled", "censored")
    columns: dict[str, Any] = {"status": None, "finish_reason": None, "error": f"{outcome}: <script>alert(1)</script>"}
    if outcome == "blocked":
        columns["finish_reason"] = "content_filter"
    return request(outcome, at_ms, [at_ms + 50] if begun else [], outcome=outcome,
                   end_ms=None if outcome == "censored" else at_ms + 100, **columns)


def empty(root: Path) -> Results:
    """A run that was planned and never began."""
    never = dict.fromkeys(("ramp_start_ns", "warmup_start_ns", "window_start_ns", "window_end_ns", "drain_end_ns"), 0)
    return write(root, [stage(0, status="pending", **never)], spec={"endpoints": [PRICED]})


def single_request(root: Path) -> Results:
    """One request of three tokens, no price, no objective."""
    return write(root, [stage()], [request("only", 100, [150, 170, 190])])


def open_loop(root: Path) -> Results:
    """Arrivals on a schedule that the client kept badly, paid by the token; an hourly endpoint beside it."""
    records, stages = [], []
    for number, endpoint in enumerate(("api", "own")):
        stages.append(stage(number, 20_000, endpoint=endpoint, load={"kind": "rate", "value": 10.0}))
        records += [request(f"{endpoint}{k}", 100 * k, [100 * k + 60 + 20 * n for n in range(4)], late_ms=k % 7 * 10,
                            stage=number, endpoint=endpoint, input_tokens=200) for k in range(200)]
    endpoints = [{"name": "api", "price": {"input_per_1m": 3.0, "output_per_1m": 15.0}},
                 {"name": "own", "price": {"hourly": 1.5, "count": 2}}]
    return write(root, stages, records, spec={"endpoints": endpoints, "objectives": {"ttft_scheduled_p95": "200ms"}})


CASES = {case.__name__: case for case in (ordinary, every_failure, empty, single_request, open_loop)}


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Analysis]:
    """The analysis of a case, reports written; each case is analysed once."""
    return cache(lambda name: analyse(CASES[name](tmp_path_factory.mktemp("golden") / name).root))


@pytest.mark.parametrize("name", CASES)
def test_the_report_is_as_it_was_agreed(name: str, golden: Golden, analysed: Callable[[str], Analysis]) -> None:
    analysis = analysed(name)
    results = analysis.run.results
    pages = (results.report_md, results.details_md, results.audit_md, results.environment_md)
    golden(f"{name}.md", "\n".join(page.read_text() for page in pages).partition("\n## Glossary")[0] + "\n")
    golden(f"{name}.txt", terminal(analysis))


@pytest.mark.parametrize("name", CASES)
def test_every_picture_that_the_markdown_names_is_there_and_no_other(
        name: str, analysed: Callable[[str], Analysis]) -> None:
    results = analysed(name).run.results
    text = results.report_md.read_text() + results.details_md.read_text() + results.audit_md.read_text()
    named = {line.split("(")[1].rstrip(")") for line in text.splitlines() if line[:2] == "!["}
    assert named == {f"figures/{path.name}" for path in results.figures.iterdir()}


def test_analysing_again_gives_the_same_report(analysed: Callable[[str], Analysis]) -> None:
    results = analysed("open_loop").run.results
    first = results.report_md.read_bytes(), results.report_html.read_bytes()
    analyse(results.root)
    assert (results.report_md.read_bytes(), results.report_html.read_bytes()) == first


def test_an_emulated_endpoint_is_named_as_one_before_any_figure(analysed: Callable[[str], Analysis]) -> None:
    report = analysed("ordinary").run.results.report_md.read_text()
    before, _, _ = report.partition("meets the objectives")
    assert "Emulated: no real hardware was measured" in before
    assert G5.name in before


def terminal(analysis: Analysis) -> str:
    """The headline as a terminal of 160 columns shows it, without colours."""
    console = Console(width=160, no_color=True, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(headline(analysis))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"
