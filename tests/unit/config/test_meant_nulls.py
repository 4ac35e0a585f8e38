"""A null that switches something off stays off in the resolved run file, which the workers load again."""

from __future__ import annotations

import pytest
import yaml

from fmload.config import loading
from fmload.config.dumping import dump, values
from fmload.config.schema import RunFile

RUN = {"name": "r", "endpoints": [{"name": "a", "protocol": "openai", "url": "http://h:1/v1",
                                   "request_id_header": None}],
       "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10}], "load": {"concurrency": [1]}}


def test_a_request_id_header_that_is_off_is_off_on_every_worker() -> None:
    again = RunFile.model_validate(values(RunFile.model_validate(RUN)))
    assert again.endpoints[0].request_id_header is None
    assert yaml.safe_load(dump(again))["endpoints"][0]["request_id_header"] is None


def test_nulls_that_say_nothing_are_left_out() -> None:
    resolved = values(RunFile.model_validate(RUN))
    assert "deploy" not in resolved["endpoints"][0] and "seed" in resolved


def test_a_set_of_nobody_in_particular_may_say_so() -> None:
    again = RunFile.model_validate({**RUN, "prompts": [{**RUN["prompts"][0], "tenants": None}]})
    assert again.prompts[0].tenants is None


@pytest.mark.parametrize("name", loading.shipped())
def test_run_files_with_every_null_written_out_are_the_same_run(name: str) -> None:
    run = loading.load(loading.find(name))
    for by_alias in (True, False):
        written = run.model_dump(mode="json", by_alias=by_alias)
        assert RunFile.model_validate(written).model_dump() == run.model_dump()
