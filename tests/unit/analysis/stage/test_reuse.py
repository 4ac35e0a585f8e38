"""How many requests had a prompt that the server had been sent before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import request, stage, write
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.stage import reuse
from fmload_analysis.stage.reuse import reuse_of
from fmload_analysis.verdict.table import Check, StageResult


def sent(number: int, prompt: str, at_ms: float, **columns: Any) -> Record:
    return request(f"{number}-{prompt}-{at_ms}", at_ms, [at_ms + 5, at_ms + 10], stage=number, prompt_id=prompt,
                   **columns)


def check_of(result: StageResult) -> Check:
    return next(check for check in result.checks if check.name == "prompts are new")


def checks(folder: Path, stages: list[dict[str, Any]], records: list[Record], **spec: Any) -> list[Check]:
    write(folder, stages, records, spec=spec)
    return [check_of(result) for result in analyse_run(open_run(folder)).results]


def figures(check: Check) -> tuple[Any, ...]:
    return tuple(check.figures[name] for name in ("requests", "repeated", "earlier", "cached"))


def test_a_prompt_is_new_once_in_a_window(tmp_path: Path) -> None:
    [found] = checks(tmp_path, [stage()], [sent(0, "x", 20), sent(0, "x", 10), sent(0, "y", 30)])
    assert (found.result, figures(found)) == ("WARN", (3, 1, 0, None))
    assert "Of 3 requests 1 (33.3%) had a prompt that was sent before: 1 in this stage" in found.sentence


def test_a_prompt_of_the_warm_up_is_not_new_in_the_window(tmp_path: Path) -> None:
    [found] = checks(tmp_path, [stage()], [sent(0, "x", -50), sent(0, "x", 10), sent(0, "y", 30)])
    assert figures(found) == (2, 1, 0, None)


def test_a_prompt_of_an_earlier_stage_is_not_new_even_if_it_was_sent_outside_its_window(tmp_path: Path) -> None:
    first, second = checks(tmp_path, [stage(), stage(1)],
                           [sent(0, "x", -50), sent(0, "y", 10), sent(1, "x", 10), sent(1, "z", 20)])
    assert (first.result, figures(first)) == ("PASS", (1, 0, 0, None))
    assert (second.result, figures(second)) == ("WARN", (2, 0, 1, None))


def test_what_a_superseded_stage_sent_is_known_to_the_stages_after_it(tmp_path: Path) -> None:
    stages = [stage(0, status="superseded"), stage(1), stage(2, step=0)]
    records = [sent(0, "w", 10), sent(1, "x", 10), sent(2, "x", 10)]
    assert [figures(found)[2] for found in checks(tmp_path, stages, records)] == [1, 0]


def test_what_another_endpoint_of_the_same_server_was_sent_is_not_new(tmp_path: Path) -> None:
    url = {"protocol": "openai", "url": "http://h/v1"}
    stages = [stage(0), stage(1, endpoint="b"), stage(2, endpoint="c")]
    records = [sent(number, "x", 10, endpoint=name) for number, name in enumerate("abc")]
    endpoints = [{"name": "a", **url}, {"name": "b", **url, "stream": False}, {"name": "c", **url, "model": "other"}]
    assert [figures(found)[2] for found in checks(tmp_path, stages, records, endpoints=endpoints)] == [0, 1, 0]


def test_requests_that_were_never_sent_are_not_counted(tmp_path: Path) -> None:
    unsent = request("blocked", 20, outcome="cancelled", prompt_id="x", send_ns=None)
    [found] = checks(tmp_path, [stage()], [sent(0, "x", 10), unsent, sent(0, "y", 30)])
    assert figures(found)[:2] == (2, 0)


def test_the_cached_tokens_of_repeated_prompts_are_told(tmp_path: Path) -> None:
    [found] = checks(tmp_path, [stage()], [sent(0, "x", 10, cached_tokens=0), sent(0, "x", 20, cached_tokens=8),
                                           sent(0, "x", 30, cached_tokens=0), sent(0, "y", 40, cached_tokens=9)])
    assert (found.result, figures(found)) == ("WARN", (4, 2, 0, 1))
    assert "the server told of cached tokens in 1 of them" in found.sentence


def test_repeated_prompts_do_no_harm_where_the_server_says_that_it_cached_none(tmp_path: Path) -> None:
    [found] = checks(tmp_path, [stage()], [sent(0, "x", at, cached_tokens=0) for at in (10, 20, 30)])
    assert (found.result, figures(found)) == ("PASS", (3, 2, 0, 0))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(-50, 150)), st.booleans()), max_size=40),
       st.sets(st.integers(0, 9)))
def test_prompts_looked_up_in_parts_are_those_looked_up_at_once(
        asked: list[tuple[int, int | None, bool]], earlier: set[int]) -> None:
    spread = 2**60
    table = {"prompt": np.array([(number - 5) * spread for number, _, _ in asked], dtype=np.int64),
             "sent": np.array([np.nan if at is None else at for _, at, _ in asked], dtype=float),
             "cached_tokens": np.array([1.0 if hit else 0.0 for _, _, hit in asked])}
    in_window = table["sent"] >= 0
    known = np.array(sorted((number - 5) * spread for number in earlier), dtype=np.int64)
    whole = reuse_of(table, in_window, known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reuse, "MOST_ROWS", 0)
        parts = reuse_of(table, in_window, known)
    assert parts.prompts.tolist() == whole.prompts.tolist() == sorted(
        {(number - 5) * spread for number, at, _ in asked if at is not None})
    assert (parts.requests, parts.in_stage, parts.in_earlier, parts.cached) == (
        whole.requests, whole.in_stage, whole.in_earlier, whole.cached)
