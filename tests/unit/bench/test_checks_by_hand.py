"""The options that the checks of real servers share: what cannot be done is said in a line, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real_servers import kept, options


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The line with which the command ends."""
    with pytest.raises(SystemExit) as ended:
        options("tests.some_check", "Some check.", "server", ["--server", "/bin/true", *argv])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_a_folder_to_keep_that_holds_something_is_refused_with_a_remedy(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "chat").mkdir()
    said = refused(capsys, "--keep", str(tmp_path))
    assert f"argument --keep: {tmp_path} is not empty" in said and "name a new folder, or remove it" in said


def test_a_file_in_place_of_a_folder_to_keep_is_refused_with_a_remedy(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/beneath"):
        assert f"{tmp_path / name} cannot be a folder" in refused(capsys, "--keep", str(tmp_path / name))


@pytest.mark.parametrize("name", ["", "new", "new/and/deep"])
def test_an_empty_folder_and_a_new_one_are_kept(tmp_path: Path, name: str) -> None:
    args = options("tests.some_check", None, "server", ["--server", "/bin/true", "--keep", str(tmp_path / name)])
    with kept(args.keep) as folder:
        assert folder == tmp_path / name and folder.is_dir()


def test_a_server_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "--server", str(tmp_path / "vllm"))
    assert f"argument --server: {tmp_path / 'vllm'} is not there" in said
