from __future__ import annotations

import pytest

from fmload.worker.senders import output_limit


@pytest.mark.parametrize("parameters", [{"max_tokens": 150}, {"temperature": 0.1, "max_new_tokens": 150}])
def test_the_limit_is_found_under_the_name_that_the_protocol_gives_it(parameters: dict[str, object]) -> None:
    assert output_limit(parameters) == 150


def test_parameters_without_a_limit_have_none() -> None:
    assert output_limit({"temperature": 0.1, "max_tokens": None}) is None
