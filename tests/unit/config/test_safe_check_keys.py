"""The keys of `load.safe_check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config import RunFile, dump, parse


def run_file(safe_check: Any) -> RunFile:
    return parse(json.dumps({
        "name": "n", "endpoints": [{"name": "e", "protocol": "openai", "url": "http://h/v1"}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 9}],
        "load": {"concurrency": [1], "safe_check": safe_check}}), "x.yml", Path("/"))


def test_a_duration_is_a_fixed_latency_and_survives_being_written() -> None:
    run = run_file({"before": {"latency": "300ms"}, "after": {"latency": {"mean": "1s", "stddev": "100ms"}}})
    again = parse(dump(run), "x.yml", Path("/"))
    for one in (run, again):
        checks = one.load.safe_check
        assert checks is not None and checks.before is not None and checks.before.latency is not None
        assert (checks.before.latency.drawn, checks.before.latency.mean_s) == ("fixed", 0.3)
        assert checks.after is not None and checks.after.latency is not None
        assert (checks.after.latency.drawn, checks.after.latency.stddev_s) == ("normal", 0.1)


@pytest.mark.parametrize(("keys", "told"), [
    ({}, "needs 'before', 'after' or both"), ({"before": {}}, "give either latency"),
    ({"before": {"latency": "1s", "url": "http://h"}}, "give either latency"),
    ({"before": {"latency": 300}}, "has no unit"), ({"before": {"latency": {"stddev": "1s"}}}, "needs 'mean'"),
    ({"after": {"url": "h:80"}}, "is not a URL")])
def test_what_is_wrong_is_told(keys: Any, told: str) -> None:
    with pytest.raises(FmloadError, match=told):
        run_file(keys)
