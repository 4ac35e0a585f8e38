"""Two masters never write into one results folder at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.results.folder import Results
from fmload.results.lock import lock_folder


def test_a_folder_in_which_a_run_goes_on_is_refused_until_it_has_ended(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    held = lock_folder(results)
    with pytest.raises(FmloadError, match=f"still goes on in .*process {os.getpid()}"):
        lock_folder(results)
    held.close()
    lock_folder(results).close()
