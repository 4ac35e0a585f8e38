from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from fmload import plugins
from fmload.base import registry
from fmload.base.errors import FmloadError
from fmload.base.registry import Registry


def test_nothing_is_imported_before_it_is_loaded() -> None:
    table = Registry("test thing", {"broken": "no.such.module:Thing", "join": "os.path:join"})
    assert table.names() == ["broken", "join"]
    assert table.load("join")("a", "b") == "a/b"


def test_an_unknown_name_is_answered_with_the_closest_one() -> None:
    table = Registry("test thing", {"openai": "os.path:join"})
    with pytest.raises(FmloadError, match="unknown test thing 'opanai'; did you mean 'openai'"):
        table.load("opanai")


def test_third_parties_register_by_entry_point_group_named_after_the_kind() -> None:
    assert Registry("endpoint protocol", {}).group == "fmload.endpoint_protocol"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a distribution on the path: a module with a text, and one entry point in the table of test things."""
    def install(distribution: str, name: str, target: str, text: str = "") -> None:
        module = target.partition(":")[0]
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[fmload.test_thing]\n{name} = {target}\n")
        monkeypatch.syspath_prepend(tmp_path)
    return install


def test_an_entry_point_of_another_distribution_is_one_of_the_table(installed: Callable[..., None]) -> None:
    installed("acme-words", "shout", "acme_words_a:shout", "def shout(word):\n    return word.upper()\n")
    table = Registry("test thing", {"join": "os.path:join"})
    assert table.in_order() == ["join", "shout"] and table.use("shout", "a") == "A"
    assert list(table.problems()) == []


@pytest.mark.parametrize(("text", "told"), [
    ("raise RuntimeError('no license\\nat all')", "RuntimeError: no license$"),
    ("import sys\nsys.exit('bye')", "SystemExit: bye"),
    ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    ("def ok(:", "SyntaxError: "),
    ("", "AttributeError: "),
    ("thing = 3", "is not what it should be: acme_broken:thing: it cannot be called"),
])
def test_an_entry_that_cannot_be_used_is_told_with_its_distribution(installed: Callable[..., None], text: str,
                                                                    told: str) -> None:
    installed("acme-broken", "thing", "acme_broken:thing", text)
    sys.modules.pop("acme_broken", None)
    table = Registry("test thing", {"join": "os.path:join"})
    with pytest.raises(FmloadError, match=r"test thing 'thing' of acme-broken 1.5 .*") as raised:
        table.load("thing")
    assert re.search(told, raised.value.message), raised.value.message
    assert "uninstall acme-broken;" in str(raised.value.hint)
    assert [error.message for error in table.problems()] == [raised.value.message]


def test_an_entry_without_what_its_table_needs_is_told_what_lacks(installed: Callable[..., None]) -> None:
    installed("acme-half", "half", "acme_half:Half", "class Half:\n    read = None\n")
    with pytest.raises(FmloadError, match="acme_half:Half: it has no send, close"):
        Registry("test thing", {}, needs=("read", "send", "close")).load("half")


def test_a_name_that_is_ours_is_nobody_elses(installed: Callable[..., None]) -> None:
    installed("acme-same", "join", "acme_same:join", "def join(*words): ...\n")
    with pytest.raises(FmloadError, match=r"test thing 'join' is claimed by fmload itself and by acme-same 1.5"):
        Registry("test thing", {"join": "os.path:join"}).load("join")


def test_a_name_that_two_distributions_claim_is_neithers(installed: Callable[..., None]) -> None:
    installed("acme-one", "twice", "acme_one:f", "def f(): ...\n")
    installed("acme-two", "twice", "acme_two:f", "def f(): ...\n")
    with pytest.raises(FmloadError, match=r"'twice' is claimed by acme-.* 1.5 and by acme-.* 1.5") as raised:
        Registry("test thing", {}).load("twice")
    assert "acme-one or acme-two" in str(raised.value.hint) or "acme-two or acme-one" in str(raised.value.hint)


def test_an_entry_that_fails_when_it_is_used_is_told_with_its_distribution(installed: Callable[..., None]) -> None:
    installed("acme-late", "late", "acme_late:f", "def f(value):\n    return 1 / value\n")
    table = Registry("test thing", {"sqrt": "math:sqrt"})
    with pytest.raises(FmloadError, match=r"test thing 'late' of acme-late 1.5 failed: ZeroDivisionError"):
        table.use("late", 0)
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        table.use("sqrt", -1)  # our own failures are ours: with their traceback


def test_what_another_distribution_gives_is_what_the_table_takes_or_is_told(installed: Callable[..., None]) -> None:
    installed("acme-wrong", "wrong", "acme_wrong:f", "def f(value):\n    return value\n")
    table = Registry("test thing", {"join": "os.path:join"})
    assert table.use("wrong", 3, gives=int) == 3 and table.use("wrong", None, gives=int) is None
    with pytest.raises(FmloadError, match=r"test thing 'wrong' of acme-wrong 1.5 gave 'x': neither a int nor None"):
        table.use("wrong", "x", gives=int)
    assert table.use("join", "a", "b", gives=int) == "a/b"  # our own are held by their types


def test_a_function_of_another_distributions_entry_fails_in_its_name(installed: Callable[..., None]) -> None:
    installed("acme-metric", "ratio", "acme_metric:f", "def f(value):\n    return 1 / value\n")
    table = Registry("test thing", {"sqrt": "math:sqrt"})
    assert table.guarded("ratio", table.load("ratio"))(4) == 0.25
    with pytest.raises(FmloadError, match=r"test thing 'ratio' of acme-metric 1.5 failed: ZeroDivisionError"):
        table.guarded("ratio", table.load("ratio"))(0)
    assert table.guarded("sqrt", math.sqrt) is math.sqrt


def test_our_own_entries_have_what_their_tables_need() -> None:
    tables = [table for table in vars(plugins).values() if isinstance(table, Registry)]
    lacking = [(table.kind, name, word) for table in tables for name in table.own() for word in table.needs
               if not hasattr(table.load(name), word)]
    assert len(tables) > 10 and lacking == []


def test_inside_what_is_installed_is_read_once_whoever_asks_and_all_have_what_they_asked_for(
        monkeypatch: pytest.MonkeyPatch) -> None:
    groups = ("console_scripts", "pytest11", "no.such.group")
    wanted = [set(metadata.entry_points(group=group)) for group in groups]
    readings, read = [0], metadata.distributions

    def counted() -> Any:
        readings[0] += 1
        return read()

    monkeypatch.setattr(metadata, "distributions", counted)
    before = metadata.entry_points
    registry.installed.cache_clear()
    with registry.installed_read_once():
        assert [set(metadata.entry_points(group=group)) for group in groups] == wanted
    assert readings == [1] and wanted[0] and metadata.entry_points is before
