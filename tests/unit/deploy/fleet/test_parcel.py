"""What travels between a fleet and its user: a run without secrets, results that can write nowhere else."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config.dumping import values
from fmload.config.loading import parse
from fmload.results.folder import Results
from fmload_deploy.fleet.mailbox import Folder
from fmload_deploy.fleet.parcel import pack_results, pack_run, unpack


def packed(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, 1 if kind == tarfile.REGTYPE else 0
    return made


@pytest.mark.parametrize("name", ["../out", "/tmp/fmload-parcel-out", "a/../../out"])
def test_a_parcel_that_would_write_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    tar = packed(tmp_path / "results.tar", member(name))
    try:
        unpack(tar, tmp_path / "in")
    except FmloadError:
        pass
    assert not (tmp_path / "out").exists() and not Path("/tmp/fmload-parcel-out").exists()


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    tar = packed(tmp_path / "results.tar", member("link", tarfile.SYMTYPE, "/etc/passwd"),
                 member("pipe", tarfile.FIFOTYPE), member("records/a"))
    unpack(tar, tmp_path / "in")
    assert sorted(path.name for path in (tmp_path / "in").rglob("*")) == ["a", "records"]


def test_a_damaged_parcel_is_said(tmp_path: Path) -> None:
    (tmp_path / "results.tar").write_bytes(b"no tar at all")
    with pytest.raises(FmloadError, match=r"results\.tar cannot be unpacked"):
        unpack(tmp_path / "results.tar", tmp_path / "in")


def test_the_run_goes_with_its_prompts_and_comes_back_whole(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("schema: 1\ninstances: []\n")
    run = parse(yaml.safe_dump({
        "name": "x", "prices": "mine.yml",
        "endpoints": [{"name": "a", "protocol": "openai", "url": "http://h/v1", "model": "m", "api_key_env": "KEY"}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10, "output_tokens": 5}],
        "load": {"concurrency": [1], "window": "1s"}}), "run.yml", tmp_path)
    results = Results(tmp_path / "results").create()
    (results.prompts / "p.jsonl").write_text("{}\n")
    pack_run(run, results, tmp_path / "run.tar")
    unpack(tmp_path / "run.tar", tmp_path / "there")
    assert (tmp_path / "there/results/prompts/p.jsonl").read_text() == "{}\n"
    again = parse((tmp_path / "there/run.yml").read_text(), "run.yml", tmp_path / "there")
    assert values(again) == {**values(run), "prices": str(tmp_path / "there/prices.yml")}
    pack_results(results.root, tmp_path / "results.tar")
    unpack(tmp_path / "results.tar", tmp_path / "back")
    assert (tmp_path / "back/prompts/p.jsonl").exists()


def test_a_file_appears_in_a_mailbox_whole_or_not_at_all(tmp_path: Path) -> None:
    mailbox = Folder(tmp_path / "mail")
    assert mailbox.read("status.json") is None and not mailbox.fetch("results.tar", tmp_path / "got")
    mailbox.write("status.json", "one")
    mailbox.write("status.json", "two")
    assert mailbox.read("status.json") == "two"
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["status.json"]
