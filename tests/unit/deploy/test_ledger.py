from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload_deploy.ledger import NAME, Ledger, ledgers_in
from fmload_deploy.resource import Resource

MODEL = Resource("sagemaker-model", "m", "us-east-1")
ENDPOINT = Resource("sagemaker-endpoint", "e", "us-east-1", hourly=0.99)


def ledger_in(folder: Path) -> Ledger:
    return Ledger.begin(folder / NAME, "run")


def test_begin_twice_keeps_the_run(tmp_path: Path) -> None:
    assert ledger_in(tmp_path).run_id == ledger_in(tmp_path).run_id


def test_whoever_looks_for_a_ledger_while_it_is_made_finds_none_or_a_whole_one(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    synced = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: seen.append((tmp_path / NAME).exists()) or synced(file))
    made = Ledger.begin(tmp_path / NAME, "r")
    assert seen == [False] and Ledger.open(tmp_path / NAME).run_id == made.run_id
    made.write("creating", Resource("k", "n", None), "e")
    assert seen == [False, True] and [path.name for path in tmp_path.iterdir()] == [NAME]


def test_two_runs_of_one_name_have_different_ids(tmp_path: Path) -> None:
    assert ledger_in(tmp_path / "a").run_id != ledger_in(tmp_path / "b").run_id


def test_what_was_announced_but_never_created_may_exist(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.write("creating", MODEL, "e1")
    assert [(entry.resource, entry.up) for entry in ledger.entries()] == [(MODEL, True)]


def test_entries_keep_the_order_of_creation_and_the_last_detail(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    for event, resource in (("creating", MODEL), ("creating", ENDPOINT), ("created", replace(MODEL, detail={"id": 1}))):
        ledger.write(event, resource, "e1")
    assert [entry.resource for entry in ledger.entries()] == [replace(MODEL, detail={"id": 1}), ENDPOINT]


def test_what_was_deleted_and_created_again_is_up_and_newest(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    for event, resource in (("created", MODEL), ("created", ENDPOINT), ("deleted", MODEL), ("creating", MODEL)):
        ledger.write(event, resource, "e1")
    assert [(entry.resource.name, entry.up) for entry in ledger.entries()] == [("e", True), ("m", True)]


def test_a_name_in_two_regions_is_two_resources(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.write("created", MODEL, "e1")
    ledger.write("created", replace(MODEL, region="eu-west-1"), "e1")
    assert len(ledger.entries()) == 2


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(1, 400))
def test_a_torn_last_line_costs_no_other(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    ledger = ledger_in(tmp_path_factory.mktemp("ledger"))
    ledger.write("created", MODEL, "e1")
    whole = ledger.path.read_bytes()
    ledger.write("creating", ENDPOINT, "e1")
    last = ledger.path.read_bytes()[len(whole):]
    ledger.path.write_bytes(whole + last[:min(cut, len(last) - 2)])
    assert [entry.resource for entry in ledger.entries()] == [MODEL]
    ledger.write("created", ENDPOINT, "e1")
    assert [entry.resource for entry in ledger.entries()] == [MODEL, ENDPOINT]


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"a": 1}\n')
    with pytest.raises(FmloadError, match="is not a ledger"):
        Ledger.open(tmp_path / NAME)


def test_a_missing_ledger_points_at_sweep(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="sweep"):
        Ledger.open(tmp_path / NAME)


def test_a_ledger_that_cannot_be_written_stops_the_creation(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.path.unlink()
    ledger.path.mkdir()
    with pytest.raises(FmloadError, match="cannot write the ledger"):
        ledger.write("creating", MODEL, "e1")


def test_a_search_has_the_ledgers_of_its_machines_and_trials(tmp_path: Path) -> None:
    for folder in ("machines/01", "machines/00", "trials/000-a", "trials/001-b/logs"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("machines/00", "machines/01", "trials/000-a"):
        Ledger.begin(tmp_path / folder / NAME, "s")
    assert [path.parent.name for path in ledgers_in(tmp_path)] == ["00", "01", "000-a"]
    Ledger.begin(tmp_path / NAME, "r")
    assert ledgers_in(tmp_path)[0] == tmp_path / NAME


def test_what_was_updated_goes_before_what_it_is_served_by(tmp_path: Path) -> None:
    ledger = Ledger.begin(tmp_path / NAME, "run")
    config, endpoint, other = (Resource("kind", name, "us-east-1", 0.0) for name in ("config", "endpoint", "other"))
    for one in (config, endpoint, other):
        ledger.write("created", one, "e")
    first = ledger.standing(endpoint)
    ledger.write("updated", endpoint, "e")
    assert [entry.resource.name for entry in ledger.entries()] == ["config", "other", "endpoint"]
    assert ledger.standing(endpoint) == first and first is not None and first.up
    ledger.write("deleted", endpoint, "e")
    assert ledger.standing(endpoint) is None
