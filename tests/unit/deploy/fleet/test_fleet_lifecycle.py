"""The life of a fleet, with a target that does what a test says: who waits, who stops waiting, who deletes what."""

from __future__ import annotations

import json
import random
import shutil
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from fmload.base.errors import FmloadError
from fmload.config.model import Strict
from fmload.config.schema import RunFile
from fmload.plugins import FLEETS, KINDS
from fmload.results.folder import Results
from fmload_deploy.aws import Busy
from fmload_deploy.base import Plan
from fmload_deploy.create import ensure
from fmload_deploy.fleet import delivery, lifecycle
from fmload_deploy.fleet.base import Fleet, Told
from fmload_deploy.fleet.mailbox import STATUS, STOP, Folder
from fmload_deploy.fleet.parcel import pack_results
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.resource import Resource


class Things:
    """A kind whose resources are names in a list."""

    there: ClassVar[list[str]] = []

    def find(self, resource: Resource, context: Any) -> dict[str, Any] | None:
        return {} if resource.name in self.there else None

    def delete(self, resource: Resource, context: Any) -> None:
        if resource.name in self.there:
            self.there.remove(resource.name)


class Said(Folder):
    """A mailbox in which the master's word is what a test has it say, at every look another."""

    def read(self, name: str) -> str | None:
        if name != STATUS:
            return super().read(name)
        return json.dumps(asdict(Planned.says.pop(0) if len(Planned.says) > 1 else Planned.says[0]))


class Planned:
    """A target with two hosts; `says` is what its master tells at every look, the last for good."""

    Options = Strict
    look_every_s = 0.001
    says: ClassVar[list[Told]] = []
    fails_at: ClassVar[str] = ""
    alive: ClassVar[int] = 2

    def __init__(self, fleet: Fleet, context: Any) -> None:
        self.fleet, self.context = fleet, context

    def plan(self) -> Plan:
        return Plan(self.fleet.name, "planned", ())

    def up(self, run: Path, secrets: Any) -> None:
        for name in ("one", "two"):
            def create(name: str = name) -> dict[str, Any]:
                if name == self.fails_at:
                    raise FmloadError(f"{name}: no room")
                Things.there.append(name)
                return {}
            ensure(self.context, self.fleet.name, Resource("thing", name, hourly=0.5), create)

    def mailbox(self) -> Folder:
        return Said(self.context.ledger.path.parent / "mailbox")

    def look(self) -> None:
        if self.fails_at == "look":
            raise FmloadError("a host has ended")

    def running(self) -> tuple[int, int]:
        return self.alive, 2


@pytest.fixture(autouse=True)
def _target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FLEETS._table, "planned", f"{__name__}:Planned")
    monkeypatch.setitem(KINDS._table, "thing", f"{__name__}:Things")
    monkeypatch.setattr(FLEETS, "load", lambda name: Planned)
    monkeypatch.setattr(KINDS, "load", lambda name: Things)
    monkeypatch.setattr(lifecycle, "pack_run", lambda run, results, tar: tar.write_bytes(b""))
    monkeypatch.setattr(lifecycle, "_LOOK_EVERY_S", 0.001)
    Things.there, Planned.says, Planned.fails_at, Planned.alive = [], [Told("waiting", 2)], "", 2


def a_fleet(folder: Path, **changes: Any) -> Fleet:
    return replace(Fleet("big", "planned", 2, 7200.0, 0.2, str(folder / "back")), **changes)


def up(folder: Path, **changes: Any) -> lifecycle.Standing:
    results = Results(folder / "back").create()
    return lifecycle.up(folder, a_fleet(folder, **changes), RunFile.model_construct(prices=None, endpoints=[]), results,
                        lambda _: None)


def ledger(folder: Path) -> Ledger:
    return Ledger.open(folder / "fleets" / "big" / NAME)


@pytest.mark.parametrize("fails_at", ["one", "two", "look"])
def test_an_up_that_fails_takes_down_what_it_made(tmp_path: Path, fails_at: str) -> None:
    Planned.fails_at, Planned.says = fails_at, [Told("waiting", 0)]
    with pytest.raises(FmloadError):
        up(tmp_path)
    assert Things.there == []
    assert not any(entry.up for entry in ledger(tmp_path).entries())


def test_an_up_whose_workers_do_not_connect_ends_at_its_limit_and_takes_all_down(tmp_path: Path) -> None:
    Planned.says = [Told("waiting", 1)]
    with pytest.raises(FmloadError, match="2 workers: not after"):
        up(tmp_path)
    assert Things.there == []


def test_a_run_that_could_not_begin_is_told_in_its_own_words(tmp_path: Path) -> None:
    Planned.says = [Told("waiting", 0), Told("ended", exit_code=2, why="error: the token is short")]
    with pytest.raises(FmloadError, match="the token is short"):
        up(tmp_path)
    assert Things.there == []


def test_a_name_whose_fleet_may_be_up_is_taken_and_free_once_it_is_down(tmp_path: Path) -> None:
    made = up(tmp_path)
    with pytest.raises(FmloadError, match="is up already"):
        up(tmp_path)
    assert Things.there == ["one", "two"]
    lifecycle.down(made, discard=True)
    up(tmp_path)
    assert len(list((tmp_path / "fleets").glob(f"*/{NAME}"))) == 2  # the ledger of the first is kept


def test_two_commands_cannot_make_one_name_at_the_same_time(tmp_path: Path) -> None:
    (tmp_path / "fleets" / "big").mkdir(parents=True)
    with pytest.raises(FmloadError, match="is being made by another command"):
        up(tmp_path)


def test_who_follows_hears_that_another_command_took_it_down(tmp_path: Path) -> None:
    made = up(tmp_path)
    Planned.says = [Told("measuring", 2)]
    lifecycle.down(lifecycle.standing(tmp_path, "big", lambda _: None), discard=True)
    with pytest.raises(FmloadError, match="taken down by another command"):
        lifecycle.follow(made)


def test_who_follows_does_not_wait_for_hosts_that_are_gone(tmp_path: Path) -> None:
    made = up(tmp_path)
    Planned.says, Planned.alive = [Told("measuring", 2)], 0
    with pytest.raises(FmloadError, match="its hosts are gone"):
        lifecycle.follow(made)


def test_a_master_that_says_nothing_new_for_a_minute_is_silent_while_its_run_goes_on() -> None:
    now = [0.0]
    silence = lifecycle.Silence(lambda: now[0])

    def told(at: float, phase: str, beat: int) -> bool:
        now[0] = at
        return silence.since(Told(phase, beat=beat))
    assert not told(0, "waiting", 0) and not told(500, "waiting", 0)  # for its run: it has nothing new to say
    assert not told(501, "measuring", 1) and not told(560, "measuring", 1) and told(562, "measuring", 1)
    assert not told(563, "measuring", 2)
    assert not told(564, "packing", 0) and not told(2000, "packing", 0)  # much takes long


def test_down_does_not_wait_for_a_master_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = up(tmp_path)
    Planned.says = [Told("measuring", 2, beat=7)]
    monkeypatch.setattr(lifecycle, "SILENT_S", 0.01)
    assert lifecycle.down(made) is None
    assert Things.there == []


def test_who_follows_does_not_wait_for_a_master_that_was_killed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = up(tmp_path)
    Planned.says = [Told("measuring", 2, beat=7)]
    monkeypatch.setattr(lifecycle, "SILENT_S", 0.01)
    with pytest.raises(FmloadError, match="its master has not been heard of"):
        lifecycle.follow(made)
    assert Things.there == ["one", "two"]


def test_down_asks_the_run_to_end_brings_its_results_and_does_nothing_the_second_time(tmp_path: Path) -> None:
    made = up(tmp_path)
    packed(made, tmp_path)
    Planned.says = [Told("measuring", 2), Told("measuring", 2),
                    Told("ended", 2, exit_code=130, ended_utc="2026-01-01T00:00:00+00:00")]
    back = lifecycle.down(made)
    assert back is not None and (back.root / "run.yml").read_text() == "name: x"
    assert (tmp_path / "fleets/big/mailbox" / STOP).exists()
    assert Things.there == []
    assert lifecycle.down(made) is None
    assert json.loads((tmp_path / "back/fleet.json").read_text())["hourly_usd"] == 1.0


def test_down_deletes_nothing_while_the_results_cannot_be_had_unless_they_are_given_up(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = up(tmp_path)
    packed(made, tmp_path)
    Planned.says = [Told("ended", 2, exit_code=0)]

    def fetch(self: Folder, name: str, path: Path) -> bool:
        raise FmloadError("the bucket does not answer")
    monkeypatch.setattr(Folder, "fetch", fetch)
    with pytest.raises(FmloadError, match="nothing was deleted: the bucket does not answer") as caught:
        lifecycle.down(made)
    assert "--discard" in str(caught.value) and Things.there == ["one", "two"]
    lifecycle.down(made, discard=True)
    assert Things.there == []


def packed(made: lifecycle.Standing, folder: Path) -> Folder:
    """The fleet's mailbox, with results of more than one part in it."""
    (there := folder / "there").mkdir()
    (there / "run.yml").write_text("name: x")
    (there / "z.bin").write_bytes(random.Random(7).randbytes(5000))
    pack_results(there, folder / "r.tar")
    mailbox = made.target.mailbox()
    delivery.send(folder / "r.tar", mailbox, lambda act: act())
    return mailbox


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PART_BYTES", 1000)


def test_a_second_command_waits_for_the_one_that_brings_the_results_back(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = up(tmp_path)
    packed(made, tmp_path)
    inner, unpacked, both = lifecycle.unpack, [], []
    second = threading.Thread(target=lambda: both.append(lifecycle.bring_back(made)))

    def unpack(tar: Path, folder: Path) -> None:
        unpacked.append(tar)
        if len(unpacked) == 1:
            second.start()
        inner(tar, folder)
    monkeypatch.setattr(lifecycle, "unpack", unpack)
    both.append(lifecycle.bring_back(made))
    second.join()
    assert len(both) == 2 and None not in both and len(unpacked) == 1
    assert (tmp_path / "back/run.yml").read_text() == "name: x"
    assert not list((tmp_path / "fleets/big").glob("*results.*"))


def test_results_whose_upload_ended_half_way_are_told_and_kept_and_the_rest_is_fetched_later(tmp_path: Path) -> None:
    made = up(tmp_path)
    mailbox = packed(made, tmp_path)
    late = mailbox.root / "results.0003"
    late.rename(mailbox.root / "late")
    with pytest.raises(FmloadError, match=r"missing or damaged: results\.0003 \(1 of 6 parts\)") as caught:
        lifecycle.bring_back(made)
    kept = tmp_path / "fleets/big/parts"
    assert str(kept) in str(caught.value) and len(list(kept.iterdir())) == 5
    assert not (tmp_path / "back/run.yml").exists() and not lifecycle.brought(made)
    assert not (mailbox.root / "taken").exists()
    for came in kept.iterdir():
        (mailbox.root / came.name).unlink()  # it must not be needed again
    (mailbox.root / "late").rename(late)
    assert lifecycle.bring_back(made) is not None
    assert (tmp_path / "back/z.bin").read_bytes() == (tmp_path / "there/z.bin").read_bytes()
    assert not kept.exists() and (mailbox.root / "taken").exists()


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 1000])
def test_a_part_that_is_empty_cut_or_damaged_is_not_taken_for_whole(tmp_path: Path, damage: bytes) -> None:
    made = up(tmp_path)
    (packed(made, tmp_path).root / "results.0001").write_bytes(damage)
    with pytest.raises(FmloadError, match=r"results\.0001 \(1 of 6 parts\)"):
        lifecycle.bring_back(made)
    assert not (tmp_path / "back/run.yml").exists()


def test_a_part_that_breaks_off_on_its_way_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = up(tmp_path)
    packed(made, tmp_path)
    inner, fetched = Folder.fetch, []

    def fetch(self: Folder, name: str, path: Path) -> bool:
        fetched.append(name)
        if fetched.count(name) == 1:
            path.write_bytes(b"the beginning")
            raise Busy("the connection broke")
        return inner(self, name, path)
    monkeypatch.setattr(Folder, "fetch", fetch)
    assert lifecycle.bring_back(made) is not None
    assert fetched == [f"results.{number:04d}" for number in range(6) for _ in range(2)]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"parts": [{"name": 3}]}', '{"parts": [{"name": "x"}]}'])
def test_a_list_of_parts_that_is_no_list_is_told(tmp_path: Path, text: str) -> None:
    made = up(tmp_path)
    made.target.mailbox().write("results.json", text)
    with pytest.raises(FmloadError, match=r"results\.json\) cannot be read"):
        lifecycle.bring_back(made)


def test_results_that_are_here_count_as_brought_though_the_fleet_cannot_hear_of_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = up(tmp_path)
    packed(made, tmp_path)

    def write(self: Folder, name: str, text: str) -> None:
        raise FmloadError("the master's pod does not run")
    monkeypatch.setattr(Folder, "write", write)
    assert lifecycle.bring_back(made) is not None and lifecycle.brought(made)


def test_results_that_somebody_removed_are_fetched_again_while_the_fleet_has_them(tmp_path: Path) -> None:
    made = up(tmp_path)
    packed(made, tmp_path)
    lifecycle.bring_back(made)
    shutil.rmtree(tmp_path / "back")
    assert not lifecycle.brought(made)
    assert lifecycle.bring_back(made) is not None and (tmp_path / "back/run.yml").exists()


def test_results_are_not_laid_over_another_run_that_was_put_into_their_folder_meanwhile(tmp_path: Path) -> None:
    made = up(tmp_path)
    packed(made, tmp_path)
    (tmp_path / "back/stages.json").write_text("another run's")
    with pytest.raises(FmloadError, match="holds another run meanwhile"):
        lifecycle.bring_back(made)
    assert not (tmp_path / "back/run.yml").exists()
    (tmp_path / "back").rename(tmp_path / "elsewhere")
    assert lifecycle.bring_back(made) is not None and (tmp_path / "back/run.yml").exists()


def test_results_that_cannot_be_written_here_are_kept_for_the_next_try(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = up(tmp_path)
    packed(made, tmp_path)

    def unpack(tar: Path, folder: Path) -> None:
        raise OSError(28, "No space left on device")
    with monkeypatch.context() as full, pytest.raises(FmloadError, match="No space left") as caught:
        full.setattr(lifecycle, "unpack", unpack)
        lifecycle.bring_back(made)
    assert "the same command tries again" in str(caught.value)
    assert lifecycle.bring_back(made) is not None


def test_a_down_does_not_wait_for_a_run_that_another_down_has_deleted(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = up(tmp_path)
    Planned.says = [Told("measuring", 2, beat=1)]

    def write(self: Folder, name: str, text: str) -> None:  # meanwhile the other one ends, its mailbox deleted
        lifecycle.down(lifecycle.standing(tmp_path, "big", lambda _: None), discard=True)
        monkeypatch.setattr(Said, "read", lambda self, name: None)
    monkeypatch.setattr(Said, "write", write)
    monkeypatch.setattr(lifecycle, "STOP_LIMIT_S", 0.5)
    assert lifecycle.down(made) is None
    assert Things.there == []


def test_a_fleet_whose_file_is_damaged_hides_no_other(tmp_path: Path) -> None:
    up(tmp_path)
    (tmp_path / "fleets/big").rename(tmp_path / "fleets/bad")
    (tmp_path / "fleets/bad/fleet.json").write_text("{")
    Things.there = []
    up(tmp_path)
    said: list[str] = []
    assert [one.fleet.name for one in lifecycle.all_standing(tmp_path, said.append)] == ["big"]
    assert len(said) == 1 and "bad/fleet.json cannot be read" in said[0] and "fmload deploy down" in said[0]
