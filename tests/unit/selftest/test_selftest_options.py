"""What `fmload selftest` takes on its command line."""

from __future__ import annotations

import pytest

from fmload.cli.main import main


@pytest.mark.parametrize("option", ["--limit-ms", "--seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_or_a_time_that_cannot_be_is_refused_before_anything_starts(option: str, value: str,
                                                                            capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["selftest", f"{option}={value}"])
    assert f"argument {option}: '{value}' is not a number above 0" in capsys.readouterr().err
