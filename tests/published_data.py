"""Where tests find published results of other tools; they are read there, and are no part of this project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

RECORDED = Path(__file__).parent / "recorded"  # outputs of other tools against the emulator, and the server's log of it


def published_cases() -> Path:
    """The folder `cases/published` there: small result files of other tools; skips the test where there is none."""
    folder = published_data().parent / "cases" / "published"
    if not folder.is_dir():
        pytest.skip("published results are not here; set FMLOAD_SHARED to the folder that holds cases/published")
    return folder


def published_data() -> Path:
    """The folder `data` of FMLOAD_SHARED, or of `shared` beside the repository; skips the test where there is none."""
    root = Path(os.environ.get("FMLOAD_SHARED") or Path(__file__).parents[2] / "shared")
    if not (root / "data").is_dir():
        pytest.skip("published results are not here; set FMLOAD_SHARED to the folder that holds data/")
    return root / "data"


def cases(name: str) -> Path:
    """A file of `cases` beside `data`: inputs with what is right about them; skips the test where there is none."""
    path = published_data().parent / "cases" / name
    if not path.exists():
        pytest.skip(f"{name} is not here; set FMLOAD_SHARED to the folder that holds cases/")
    return path
