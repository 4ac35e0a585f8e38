"""What is pinned can be installed with every Python that the project names."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]


def test_every_pin_takes_the_first_release_of_the_lowest_python() -> None:
    """Debian 12 has Python 3.11.2: a package that wants 3.11.5 made `make test` fail there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = f"{project['requires-python'].removeprefix('>=')}.0"
    refusing, known = [], 0
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        pin = Requirement(line)
        try:
            found = distribution(pin.name)
        except PackageNotFoundError:  # for another system or Python
            continue
        if found.version in pin.specifier:
            known += 1
            if lowest not in SpecifierSet(found.metadata["Requires-Python"] or ""):
                refusing.append(f"{pin} wants Python {found.metadata['Requires-Python']}")
    assert not refusing and known > 100
