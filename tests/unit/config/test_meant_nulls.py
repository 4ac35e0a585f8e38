"""A null that switches something off stays off in the resolved run file, which the workers load again."""

from __future__ import annotations

import yaml

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
