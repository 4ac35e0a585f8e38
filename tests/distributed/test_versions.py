"""Master and workers of different versions: refused at the greeting, with both named, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.version import __version__
from tests.distributed.faults import LOAD, other_version
from tests.load_rig import cluster, emulator, run_file


@pytest.mark.parametrize("odd", ["worker_file", "master_file"])
def test_another_version_is_refused_at_its_greeting_with_both_named(tmp_path: Path, odd: str) -> None:
    other = tmp_path / "other.py"
    other.write_text(other_version(99, "9.9"))
    with emulator(tmp_path) as server, \
            cluster(tmp_path, run_file(tmp_path, {"a": server.url}, {**LOAD, "window": "60s"}), **{odd: other}) as all:
        assert all.master.wait(60) == 4, all.master.output()
        assert server.requests() == []
    told = all.master.output()
    assert "fmload 9.9 (protocol 99)" in told and f"fmload {__version__} (protocol" in told
    assert "Traceback" not in told
