"""What a sweep may delete: one's own, what is not live, and nothing where nobody knows whose it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload_deploy import teardown
from fmload_deploy.aws import Aws
from fmload_deploy.base import Context
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.sweep import Run, removable

ME = "ana:user/ana"


def runs(**more: Run) -> dict[str, Run]:
    return {"mine": Run("mine", ME), "theirs": Run("theirs", "bo:user/bo"), "nobody's": Run("nobody's"),
            "empty": Run("empty", ""), "live": Run("live", ME, lease_until=time.time() + 900), **more}


@pytest.mark.parametrize(("me", "named", "owners", "doomed"), [
    (ME, [], [], {"mine"}), ("", [], [], set()), (ME, [], ["bo:user/bo"], {"mine", "theirs"}),
    (ME, [], ["all"], {"mine", "theirs", "nobody's", "empty"}), (ME, ["live"], [], {"live"}),
    (ME, ["none"], [], set()), (ME.upper(), [], [], set()), ("ana", [], [], set())])
def test_a_sweep_deletes_ones_own_and_nothing_that_lives(
        me: str, named: list[str], owners: list[str], doomed: set[str]) -> None:
    assert set(removable(runs(), me, named, owners)) == doomed


def test_a_login_alone_is_no_proof_of_whose_it_is() -> None:
    found = runs(other=Run("other", "root:unknown"))
    assert removable(found, "root:unknown", [], []) == {}
    assert set(removable(found, "root:unknown", ["other"], [])) == {"other"}


def test_what_cannot_be_deleted_of_one_run_keeps_no_other_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []

    def down(context: Context) -> None:
        if context.ledger.run_id == "denied":
            raise FmloadError("not everything could be deleted")
        gone.append(context.ledger.run_id)
    monkeypatch.setattr(teardown, "down", down)
    with pytest.raises(FmloadError, match="not everything"):
        teardown.all_down([_context(tmp_path, name) for name in ("denied", "second", "third")])
    assert gone == ["second", "third"]


def _context(folder: Path, run_id: str) -> Any:
    return Context(Ledger.begin(folder / run_id / NAME, run_id, run_id), folder, Aws(), lambda _: None)
