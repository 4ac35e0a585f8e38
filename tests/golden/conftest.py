"""`pytest tests/golden --update-golden` writes what the tests would compare with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

EXPECTED = Path(__file__).parent / "expected"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", default=False, help="take what comes as what is expected")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the file of that name under expected/."""

    def compare(name: str, text: str) -> None:
        path = EXPECTED / name
        if request.config.getoption("update_golden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing; make it with --update-golden, and read it"
        assert text.splitlines() == path.read_text(encoding="utf-8").splitlines()

    return compare
