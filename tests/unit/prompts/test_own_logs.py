"""`source: log`: the user's own requests, with the instants at which they came."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.plugins import SOURCES
from fmload.prompts.selection import make_set
from fmload.prompts.tokenizer import Tokenizer
from fmload.prompts.trace import Trace

BUNDLED = Tokenizer.load("bundled")
ROWS = [{"timestamp": 100.5, "prompt": "second", "answer": "b", "tokens": 7},
        {"timestamp": 100.0, "prompt": "first", "answer": "a", "tokens": 0},
        {"timestamp": 103.25, "prompt": "second", "answer": "c", "tokens": 9}]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def logged(path: str, part: tuple[float, float | None] = (0.0, None), **options: Any) -> list[Prompt]:
    spec = PromptSpec.model_validate({"name": "set", "source": "log", "files": [path], **options})
    source: Trace = SOURCES.load("log").from_spec(spec).within(*part)
    return make_set(spec, source, BUNDLED, "1", spec.count, lambda *news: None)


def offsets(tmp_path: Path, *stamps: Any, **options: Any) -> list[float | None]:
    path = write(tmp_path / "log.jsonl", [{"timestamp": stamp, "prompt": "x"} for stamp in stamps])
    return [prompt.offset_s for prompt in logged(path, **options)]


def test_the_texts_of_a_log_are_sent_as_they_are_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    prompts = logged(write(tmp_path / "log.jsonl", ROWS), reference_column="answer", output_tokens_column="tokens")
    assert [(p.offset_s, p.text, p.reference, p.output_tokens) for p in prompts] == [
        (0.0, "first", "a", 1), (0.5, "second", "b", 7), (3.25, "second", "c", 9)]
    assert all(prompt.input_tokens == BUNDLED.count(prompt.text or "") for prompt in prompts)


def test_a_part_of_a_log_can_be_replayed(tmp_path: Path) -> None:
    assert [p.offset_s for p in logged(write(tmp_path / "log.jsonl", ROWS), (0.25, 1.0))] == [0.25]


def test_chats_templates_and_lengths_of_answers_are_those_of_ones_own_files(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hello"}]
    path = write(tmp_path / "log.jsonl", [{"timestamp": 1, "messages": chat, "topic": "rivers"}])
    [prompt] = logged(path, output_tokens=12, nonce=True)
    assert prompt.messages is not None
    assert prompt.messages[0]["content"].endswith("] hello")
    assert prompt.output_tokens == 12
    (tmp_path / "t.txt").write_text("Of {topic}.")
    assert [prompt.text for prompt in logged(path, template=str(tmp_path / "t.txt"))] == ["Of rivers."]


def test_a_log_of_lengths_alone_has_its_texts_made_up(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("at,asked,got\n12:00,300,5\n".replace("12:00", "2026-01-05T12:00:00+01:00")
                                      + "2026-01-05T11:00:02Z,40,\n")
    prompts = logged(str(tmp_path / "log.csv"), timestamp_column="at", input_tokens_column="asked",
                     output_tokens_column="got", max_input_tokens=200, output_tokens=8)
    assert [(p.offset_s, p.input_tokens, p.output_tokens) for p in prompts] == [(0.0, 200, 5), (2.0, 40, 8)]
    assert all(BUNDLED.count(prompt.text or "") == prompt.input_tokens for prompt in prompts)


def test_instants_are_numbers_of_a_unit_or_dates_with_times(tmp_path: Path) -> None:
    assert offsets(tmp_path, 0, 1.5) == [0.0, 1.5]
    assert offsets(tmp_path, "1767600000.25", "1767600001") == [0.0, 0.75]
    assert offsets(tmp_path, 1767600000250, 1767600001000, timestamp_unit="ms") == [0.0, 0.75]
    assert offsets(tmp_path, "2026-01-05 12:00:00.5", "2026-01-05T12:00:01Z") == [0.0, 0.5]


def test_instants_of_parquet_files_are_read_as_they_are(tmp_path: Path) -> None:
    stamps = [datetime(2026, 1, 5, 12, 0, second, tzinfo=UTC) for second in (1, 3)]
    parquet.write_table(pa.table({"timestamp": stamps, "prompt": ["a", "b"]}), tmp_path / "log.parquet")
    assert [prompt.offset_s for prompt in logged(str(tmp_path / "log.parquet"))] == [0.0, 2.0]


@pytest.mark.parametrize(("stamp", "words"), [
    (1767600000250, r"log.jsonl:1: .*1767600000250 is not in the unit 's'.*: set timestamp_unit"),
    ("noon", r"log.jsonl:1: .*'noon'"), (None, r"log.jsonl:1: .*None is no instant"), (True, "True is no instant"),
    ("nan", "the instant is nan")])
def test_what_is_no_instant_is_named_with_its_file_and_row(tmp_path: Path, stamp: Any, words: str) -> None:
    with pytest.raises(FmloadError, match=words):
        offsets(tmp_path, stamp)


def test_a_row_without_text_is_an_error_for_its_arrival_would_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=r"log.jsonl:2: no text in 'prompt'"):
        logged(write(tmp_path / "log.jsonl", [ROWS[0], {"timestamp": 101, "prompt": ""}]))


def test_a_column_that_no_row_has_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", ROWS)
    with pytest.raises(FmloadError, match=r"no column 'tim'(.|\n)*this source needs tim"):
        logged(path, timestamp_column="tim")
    with pytest.raises(FmloadError, match=r"log.jsonl:1: no 'prompts'; did you mean 'prompt'"):
        logged(path, column="prompts")


def test_what_is_wrong_with_the_rows_of_a_log_is_told_in_one_pass(tmp_path: Path) -> None:
    rows = [{"timestamp": "yesterday", "prompt": "x"}, {"prompt": "x"}, {"timestamp": 1, "prompt": ""}, ROWS[0]]
    with pytest.raises(FmloadError) as raised:
        logged(write(tmp_path / "log.jsonl", rows))
    lines = raised.value.message.replace(f"{tmp_path}/", "").splitlines()
    assert [line.split("; ")[0] for line in lines] == [
        "3 problems", "log.jsonl:1: not a row of the trace: "
        "timestamp: 'yesterday' is neither a number nor a date and time (ISO 8601)",
        "log.jsonl:2: no column 'timestamp'", "log.jsonl:3: no text in 'prompt'"]


def test_options_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", ROWS)
    with pytest.raises(ValidationError, match="those of the log are sent whole"):
        logged(path, max_input_tokens=100)
    with pytest.raises(FmloadError, match="neither template nor image_column"):
        logged(path, input_tokens_column="tokens", image_column="picture")
    with pytest.raises(ValidationError, match="source 'log' knows no languages"):
        logged(path, filter={"language": "en"})


def test_another_template_is_another_set_in_the_cache(tmp_path: Path) -> None:
    def fingerprint(words: str) -> str:
        (tmp_path / "t.txt").write_text(words)
        spec = PromptSpec.model_validate({"name": "set", "source": "log", "template": str(tmp_path / "t.txt"),
                                          "files": [write(tmp_path / "log.jsonl", ROWS)]})
        print_: str = SOURCES.load("log").from_spec(spec).fingerprint()
        return print_

    assert fingerprint("one") != fingerprint("two")
