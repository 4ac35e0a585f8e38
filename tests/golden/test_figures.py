"""Every figure of drawn results folders, to the last digit: those that the analysis found when all columns of a stage
lay in memory and each list was read. Whoever changes how records are read sees here whether a figure changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from generated_results import FOLDERS, figures, make, shortened

Golden = Callable[[str, str], None]


@pytest.mark.parametrize("name", FOLDERS)
def test_the_figures_of_a_folder_stay_what_they_were(name: str, tmp_path: Path, golden: Golden) -> None:
    make(name, tmp_path)
    golden(f"figures/{name}.json", json.dumps(shortened(figures(tmp_path)), indent=0, sort_keys=True))
