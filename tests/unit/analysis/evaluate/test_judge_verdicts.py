from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload_analysis.evaluate.ledger import Entry, Ledger
from fmload_analysis.evaluate.retrying import wait_s
from fmload_analysis.evaluate.verdicts import JudgeVerdict, parse


@pytest.mark.parametrize(("reply", "verdict"), [
    ('{"correct": true, "reason": "same"}', JudgeVerdict("correct", "same")),
    ('Sure!\n```json\n{"reason": "x", "correct": "No"}\n```\nBye {', JudgeVerdict("incorrect", "x")),
    ('{"correct": true} on second thought {"correct": false}', JudgeVerdict("incorrect", "")),
    ('{"verdict": {"correct": true}}', None), ('{"correct": "perhaps"}', None), ("It is correct.", None), ("", None),
    ('{"correct": true', None), ("[" * 9000 + '{"a":' * 5000, None)])
def test_the_last_json_object_with_a_verdict_counts(reply: str, verdict: JudgeVerdict | None) -> None:
    assert parse("grade", reply) == verdict


def test_a_comparison_names_a_place_or_a_tie() -> None:
    replies = ('{"winner": "A"}', '{"winner": "b "}', '{"winner": "tie"}', '{"winner": "C"}')
    assert [found and found.choice for found in (parse("comparison", reply) for reply in replies)] == [
        "first", "second", "tie", None]


@given(st.text(alphabet='{}[]",:\\ \nabctrue1', max_size=200))
def test_no_reply_is_too_strange(reply: str) -> None:
    assert parse("grade", reply) is None


def test_the_ledger_survives_and_is_open_to_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    with Ledger(path) as ledger:
        ledger.append(Entry("k", "j", "grade", "throttled", reply="HTTP 429"))
        assert not ledger.settled("k")
        ledger.append(Entry("k", "j", "grade", "ok", "correct", input_tokens=7))
        ledger.append(Entry("l", "j", "grade", "garbage"))
        with pytest.raises(FmloadError, match="in use"):
            Ledger(path)
    with path.open("ab") as file:
        file.write(b'{"key": "m", "jud')
    with Ledger(path) as ledger:
        assert ledger.settled("k") and ledger.settled("l") and not ledger.settled("m")
        assert ledger.entries["k"].input_tokens == 7
        ledger.append(Entry("m", "j", "grade", "ok", "incorrect"))
    with Ledger(path) as ledger:
        assert set(ledger.entries) == {"k", "l", "m"}


def test_refusals_of_earlier_calls_count_with_the_answer_that_came_at_last(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    with Ledger(path) as ledger:
        ledger.append(Entry("k", "j", "grade", "throttled", attempts=6, throttled=6))
    with Ledger(path) as ledger:
        ledger.append(Entry("k", "j", "grade", "ok", "correct", attempts=2, throttled=1))
        told = ledger.entries["k"]
    assert (told.outcome, told.attempts, told.throttled) == ("ok", 8, 7)
    with Ledger(path) as ledger:
        assert ledger.entries["k"] == told


def test_a_spoilt_ledger_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text('{"key": "k", "judge": "j", "kind": "grade", "outcome": "ok"}\nnot JSON\n')
    with pytest.raises(FmloadError, match=r"verdicts\.jsonl:2"):
        Ledger(path)


def test_the_wait_doubles_and_the_server_has_the_last_word() -> None:
    assert all(2.0 <= wait_s(3, 1.0, {}) <= 4.0 for _ in range(50))
    assert wait_s(1, 1.0, {"retry-after": "7"}) == 7.0
    assert wait_s(1, 1.0, {"retry-after": "86400"}) == wait_s(30, 1.0, {}) == 60.0
    assert 0.5 <= wait_s(1, 1.0, {"retry-after": "Fri, 20 Nov 2026 22:00:00 GMT"}) <= 1.0
