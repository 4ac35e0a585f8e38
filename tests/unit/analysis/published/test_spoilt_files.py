"""Files that are cut off, misspelt, of another kind or absurd: an error in words, or the right reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from right_files import WRITERS, simulated, vllm, written

from fmload.base.errors import FmloadError
from fmload.cli.main import main
from fmload.plugins import IMPORTERS
from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import Row
from fmload_analysis.published.rows.sweep import read_published, read_sweep

RIGHT = vllm(simulated(1))
VALUES = ([1], {"x": 1}, "soon", None, 1e200, 1e14, 0, -3)


def read(tmp_path: Path, data: bytes | str, name: str = "r.json", tool: str | None = None) -> Row:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_published(path, tool).rows[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_of_unicode_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    row = read(tmp_path, json.dumps(RIGHT).encode(encoding))
    assert row.value("e2e_mean") == pytest.approx(RIGHT["mean_e2el_ms"] / 1e3)


def test_nan_and_infinity_are_not_told(tmp_path: Path) -> None:
    row = read(tmp_path, json.dumps({**RIGHT, "mean_ttft_ms": float("nan"), "p99_ttft_ms": float("inf")}))
    assert row.value("ttft_mean") is None
    assert row.value("ttft_p99") is None
    assert row.value("ttft_p50") is not None


def test_numbers_as_text_are_numbers(tmp_path: Path) -> None:
    row = read(tmp_path, json.dumps({name: str(value) for name, value in RIGHT.items() if value is not None}))
    assert row.value("completed") == RIGHT["completed"]
    assert row.value("tpot_mean") == pytest.approx(RIGHT["mean_tpot_ms"] / 1e3)


@pytest.mark.parametrize(("change", "told"), [
    ({"mean_ttft_ms": [1, 2]}, "mean_ttft_ms holds an array, not a number"),
    ({"mean_ttft_ms": {"a": 1}}, "mean_ttft_ms holds an object, not a number"),
    ({"mean_ttft_ms": True}, "mean_ttft_ms holds true, not a number"),
    ({"mean_ttft_ms": "fast"}, "mean_ttft_ms holds 'fast', not a number"),
    ({"mean_ttft_ms": 1e300}, "mean_ttft_ms holds 1e\\+300: no figure of a load test is so large"),
    ({"mean_ttft_ms": int("9" * 400)}, "not a number")])
def test_what_is_no_figure_is_told_with_its_file_and_key(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(FmloadError, match=rf"r\.json.*{told}"):
        read(tmp_path, json.dumps({**RIGHT, **change}))


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95, 0.999])
def test_a_file_that_is_cut_off_is_told_as_such(tmp_path: Path, cut: float) -> None:
    text = json.dumps(RIGHT, indent=1)
    with pytest.raises(FmloadError, match=r"line \d+: .*cut off") as error:
        read(tmp_path, text[:int(len(text) * cut)])
    assert error.value.hint


def test_a_torn_line_of_several_is_told_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=r"line 2: .*cut off"):
        read(tmp_path, json.dumps(RIGHT) + "\n" + json.dumps(RIGHT)[:40])


@pytest.mark.parametrize(("data", "told"), [
    (b"", "is empty"), (b"  \n\t ", "is empty"), (b"\xef\xbb\xbf", "is empty"), (b"\x89PNG\r\n\x1a\n", "is no text"),
    (b"{}\x00", "zero bytes"), (b"[]", "not recognised"), (b"[1, 2, 3]", "not recognised"), (b"null", "not recognised"),
    (b"{}", "not recognised"), (b"[" * 100_000, "nested too deeply|cut off"), (b"a,b\n1,2\n", "not recognised")])
def test_other_content_is_refused_in_words(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(FmloadError, match=told) as error:
        read(tmp_path, data)
    assert error.value.hint


@pytest.mark.parametrize("name", sorted(IMPORTERS))
@pytest.mark.parametrize("data", [
    "{}", "[]", '[{"a": 1}]', "a,b\n1,2\n", "a;b\n1,5;2\n", "| a |\n|---|\n| 1 |\n", "x: 1\n", '{"benchmarks": 3}',
    '{"aggregated_metrics": []}', '{"records": [1]}', "nothing"])
def test_a_tool_that_did_not_write_the_file_is_an_error(tmp_path: Path, name: str, data: str) -> None:
    with pytest.raises(FmloadError) as error:
        read(tmp_path, data, tool=name)
    assert error.value.hint


@pytest.mark.parametrize("name", sorted(IMPORTERS))
@pytest.mark.parametrize("tool", sorted(WRITERS))
def test_the_wrong_tool_never_ends_in_a_traceback(tmp_path: Path, name: str, tool: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(written(tool, simulated(5)))
    try:
        read_published(path, name)
    except FmloadError as error:
        assert error.hint


@pytest.mark.parametrize("tool", sorted(WRITERS))
@pytest.mark.parametrize("value", VALUES)
def test_any_value_of_a_file_may_be_of_another_kind(tmp_path: Path, tool: str, value: Any) -> None:
    """A fifth of the values in turn; the answer is a reading or an error that names the file."""
    content, prices = json.loads(written(tool, simulated(1))), load_prices()
    content.pop("individual_request_metrics", None)
    path = tmp_path / "r.json"
    for holder, key in _places(content)[VALUES.index(value) % 5::5]:
        kept, holder[key] = holder[key], value
        path.write_text(json.dumps(content))
        holder[key] = kept
        try:
            rows = audit_published(read_published(path), prices)
        except FmloadError as error:
            assert "r.json" in error.message and error.hint
        else:
            assert all(check.sentence for row in rows for check in row.checks)


def _places(content: Any) -> list[tuple[Any, Any]]:
    if not isinstance(content, dict | list):
        return []
    keys = list(content) if isinstance(content, dict) else list(range(min(len(content), 1)))
    return [place for key in keys for place in ((content, key), *_places(content[key]))]


FMBENCH = ("experiment_name;payload_file;instance_type;concurrency;error_rate;latency_p50;latency_p95;"
           "transactions_per_minute;price_per_txn\nx;p;g5.4xlarge;2;0,01;1,9;2,14;55;0,000492\n")


def test_a_semicolon_csv_has_german_decimals(tmp_path: Path) -> None:
    row = read(tmp_path, FMBENCH, "scores.csv")
    assert (row.value("e2e_p95"), row.value("error_rate"), row.value("transactions_per_minute")) == (2.14, 0.01, 55)
    assert row.value("price_per_transaction") == 0.000492


def test_german_thousands_are_thousands(tmp_path: Path) -> None:
    row = read(tmp_path, FMBENCH.replace(";55;", ";1.055,5;"), "scores.csv")
    assert row.value("transactions_per_minute") == 1055.5


def test_an_absurd_price_is_called_one_without_its_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(FMBENCH.replace("0,000492", "651000000000000,0"))
    assert main(["audit", str(path)]) == 4
    out = capsys.readouterr().out
    assert "implies more than $1,000,000 per hour" in out
    assert "e+" not in out.split("price arithmetic")[1].split("\n")[0]


def test_a_negative_time_is_a_contradiction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**RIGHT, "mean_ttft_ms": -12.0}))
    assert main(["audit", str(path)]) == 4
    assert "nothing is negative: TTFT mean -12 ms: below 0." in capsys.readouterr().out


def test_all_problems_of_several_files_are_told_in_one_pass(tmp_path: Path) -> None:
    for name, text in (("a.json", "{"), ("b.json", "{}"), ("c.json", json.dumps(RIGHT))):
        (tmp_path / name).write_text(text)
    with pytest.raises(FmloadError) as error:
        read_sweep([tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"])
    assert "a.json" in str(error.value) and "b.json" in str(error.value)


def test_a_missing_file_and_a_pattern_without_matches_are_told(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=r"cannot read .*nowhere\.json"):
        read_sweep([tmp_path / "nowhere.json"])
    with pytest.raises(FmloadError, match="no file matches"):
        read_sweep([tmp_path / "*.json"])
