"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from fmload.base.files import aside_of, remove_abandoned, write_whole


def ended() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait(60)
    return process.pid


def test_what_a_killed_process_left_aside_is_removed_and_what_is_being_written_or_is_another_file_stays(
        tmp_path: Path) -> None:
    names = [f".a.journal.{ended()}.part", f".a.journal.{os.getpid()}.part", ".hidden.part", "a.7.part", "a.journal"]
    for name in names:
        (tmp_path / name).write_text("x")
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
    remove_abandoned(tmp_path / "nothing")


def test_a_whole_file_has_its_name_and_nothing_is_left_aside(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", "{}")
    assert aside_of(tmp_path / "a.json").parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
