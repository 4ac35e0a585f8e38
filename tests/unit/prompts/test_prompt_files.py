"""Prompts from files: formats, templates, columns, images, filters, and the published data sets' shapes."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from fmload.base.errors import FmloadError
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.plugins import SOURCES
from fmload.prompts import files
from fmload.prompts.selection import make_set
from fmload.prompts.template import Template
from fmload.prompts.tokenizer import Tokenizer

BUNDLED = Tokenizer.load("bundled")
ROWS = [{"prompt": f"question {number} about the river", "answer": f"answer {number}", "size": number + 1,
         "language": "en" if number % 2 else "fr"} for number in range(10)]
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def made(source: str, count: int | None = None, seed: str = "1", **options: Any) -> list[Prompt]:
    spec = PromptSpec.model_validate({"name": "set", "source": source, **options})
    return make_set(spec, SOURCES.load(source).from_spec(spec), BUNDLED, seed, count, lambda *news: None)


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> str:
    """The rows in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, default=repr) + "\n" for row in rows)
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside/rows.jsonl", lines)
    else:
        path.write_text(json.dumps(rows) if path.suffix == ".json" else lines)
    return str(path)


def texts(prompts: list[Prompt]) -> set[str | None]:
    return {prompt.text for prompt in prompts}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.gz", "a.zip"])
def test_every_format_gives_the_same_prompts(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name) + ("!inside/rows.jsonl" if name.endswith(".zip") else "")
    prompts = made("jsonl", files=[path], reference_column="answer", output_tokens_column="size")
    assert texts(prompts) == {row["prompt"] for row in ROWS}
    assert {(prompt.reference, prompt.output_tokens) for prompt in prompts} == {(r["answer"], r["size"]) for r in ROWS}
    assert all(prompt.input_tokens == BUNDLED.count(prompt.text or "") for prompt in prompts)


def test_a_column_called_reference_is_the_ground_truth_where_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "2 + 2?", "reference": "4", "other": "four"}\n{"prompt": "3?", "reference": ["3"]}\n')
    assert [prompt.reference for prompt in made("jsonl", files=[str(path)], shuffle=False)] == ["4", None]
    assert made("jsonl", 1, files=[str(path)], shuffle=False, reference_column="prompt")[0].reference == "2 + 2?"


def test_patterns_take_all_their_files(tmp_path: Path) -> None:
    write(tmp_path / "one.jsonl", ROWS[:4])
    write(tmp_path / "two.jsonl", ROWS[4:])
    assert len(made("jsonl", files=[str(tmp_path / "*.jsonl")])) == 10


def test_the_seed_decides_the_order_and_shuffle_can_be_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    first, again, other = (made("jsonl", files=[path], seed=seed) for seed in ("1", "1", "2"))
    assert first == again != other
    assert [prompt.text for prompt in made("jsonl", files=[path], shuffle=False)] == [row["prompt"] for row in ROWS]


def test_rows_that_are_alike_are_sent_once_unless_asked_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ROWS + ROWS)
    assert len(made("jsonl", files=[path])) == 10
    assert len(made("jsonl", files=[path], unique=False)) == 20
    assert len(made("jsonl", files=[path], count=4)) == 4


def test_filters_keep_a_language_and_a_token_range_with_both_ends(tmp_path: Path) -> None:
    rows = [{"prompt": " ".join(["river"] * length), "language": "en"} for length in range(1, 12)]
    path = write(tmp_path / "a.jsonl", [*rows, {"prompt": "river river river", "language": "fr"}])
    kept = made("jsonl", files=[path], filter={"language": "en", "tokens": [3, 5]})
    assert sorted(prompt.input_tokens or 0 for prompt in kept) == [3, 4, 5]


def test_a_filter_that_keeps_nothing_says_which_lengths_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"prompt": "one two three"}, {"prompt": "river"}])
    with pytest.raises(FmloadError, match="the 2 there are have 1 to 3 tokens"):
        made("jsonl", files=[path], filter={"tokens": [100, 200]})


def test_a_language_nobody_speaks_is_said(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="no row of language 'xx'; there are: en, fr"):
        made("jsonl", files=[write(tmp_path / "a.jsonl")], filter={"language": "xx"})


@pytest.mark.parametrize("nonce", [False, True])
def test_rows_without_text_make_no_prompts(tmp_path: Path, nonce: bool) -> None:
    with pytest.raises(FmloadError, match="no row makes a prompt"):
        made("jsonl", files=[write(tmp_path / "a.jsonl", [{"prompt": ""}])], nonce=nonce)


def test_a_language_filter_needs_its_column(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"prompt": "x", "langauge": "en"}])
    with pytest.raises(FmloadError, match="needs a column 'language'; did you mean 'langauge'"):
        made("jsonl", files=[path], filter={"language": "en"})


def test_a_template_puts_columns_into_its_fields(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text('{"q": "{prompt}", "keep": {{prompt}}, "n": {size}}')
    prompts = made("jsonl", files=[write(tmp_path / "a.jsonl", ROWS[:1])], template=str(tmp_path / "t.txt"))
    assert prompts[0].text == '{"q": "question 0 about the river", "keep": {prompt}, "n": 1}'


def test_a_template_field_that_is_no_column_names_line_and_columns(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("Read this.\n{promt}")
    with pytest.raises(FmloadError, match=r"t\.txt:2: no column 'promt'; did you mean 'prompt'") as raised:
        made("jsonl", files=[write(tmp_path / "a.jsonl")], template=str(tmp_path / "t.txt"))
    assert "columns: answer, language, prompt, size" in str(raised.value.hint)


def test_a_template_may_be_packed_and_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress(b"Of {prompt}."))
    path = write(tmp_path / "a.jsonl", [{"prompt": "x"}])
    assert made("jsonl", files=[path], template=str(tmp_path / "t.txt.gz"))[0].text == "Of x."
    (tmp_path / "t.txt").write_bytes(b"Of\n\xff {prompt}.")
    with pytest.raises(FmloadError, match=r"t\.txt:2: not UTF-8 text"):
        made("jsonl", files=[path], template=str(tmp_path / "t.txt"))


def test_nan_is_nothing(tmp_path: Path) -> None:
    rows = [{"prompt": float("nan")}, {"prompt": "x", "n": float("nan"), "answer": float("nan")}]
    path = write(tmp_path / "a.jsonl", rows)
    [prompt] = made("jsonl", files=[path], output_tokens_column="n", reference_column="answer")
    assert (prompt.text, prompt.output_tokens, prompt.reference) == ("x", None, None)


def test_lists_and_mappings_in_a_template_are_json(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("{prompt} {options} {sure}")
    rows = [{"prompt": "x", "options": ["é", {"a": None}], "sure": True}]
    [prompt] = made("jsonl", files=[write(tmp_path / "a.jsonl", rows)], template=str(tmp_path / "t.txt"))
    assert prompt.text == 'x ["é", {"a": null}] true'


def test_a_ground_truth_is_one_text(tmp_path: Path) -> None:
    said = problems(tmp_path, '{"prompt": "x", "answers": ["a"]}\n', reference_column="answers")
    assert said.startswith("a.jsonl:1: answers: must be text, not a list")


def test_a_template_without_a_field_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("Sum it up.")
    with pytest.raises(FmloadError, match=r"t\.txt: no field in it"):
        made("jsonl", files=[write(tmp_path / "a.jsonl")], template=str(tmp_path / "t.txt"))


def test_a_template_cannot_reach_into_values() -> None:
    assert Template("{a.__class__} {a[0]}").render({"a": "x"}) == "{a.__class__} {a[0]}"


def test_a_template_that_is_not_there_is_named() -> None:
    with pytest.raises(FmloadError, match=r"/nowhere/t\.txt: no such file"):
        made("jsonl", files=["x"], template="/nowhere/t.txt")


def test_a_csv_may_hold_long_contexts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [{"prompt": "river " * 50_000}])
    assert made("csv", files=[path])[0].input_tokens == BUNDLED.count("river " * 50_000)


def test_nulls_with_which_parquet_fills_messages_are_left_out(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Why?"}, {"role": "tool", "content": "x", "name": "t"}]
    [prompt] = made("parquet", files=[write(tmp_path / "a.parquet", [{"messages": messages}])])
    assert prompt.messages == messages


def test_messages_are_sent_as_they_are_and_a_nonce_goes_into_the_first_question(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    path = write(tmp_path / "a.jsonl", [{"messages": messages}])
    assert made("jsonl", files=[path])[0].messages == messages
    with_nonce = made("jsonl", files=[path], nonce=True)[0].messages or []
    assert with_nonce[0] == messages[0]
    assert with_nonce[1]["content"].startswith("[")
    assert with_nonce[1]["content"].endswith("] Why?")


@pytest.mark.parametrize("value", [
    base64.b64encode(PNG).decode(), "pictures/one.png", {"bytes": base64.b64encode(PNG).decode()},
    {"path": "pictures/one.png"}])
def test_an_image_becomes_a_data_url_beside_the_text(tmp_path: Path, value: object) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.png").write_bytes(PNG)
    prompts = made("jsonl", files=[write(tmp_path / "a.jsonl", [{"prompt": "What is it?", "image": value}])],
                   image_column="image")
    text, image = (prompts[0].messages or [])[0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def test_images_in_parquet_are_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [{"prompt": "What?", "image": {"bytes": PNG, "path": None}}])
    prompts = made("parquet", files=[path], image_column="image")
    assert (prompts[0].messages or [])[0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


def test_what_is_no_image_is_said_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"prompt": "x", "image": base64.b64encode(b"text").decode()}])
    with pytest.raises(FmloadError, match=r"a\.jsonl:1: image: not a PNG"):
        made("jsonl", files=[path], image_column="image")


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("a.jsonl", '{"prompt": "x"}\n{oops}\n', r"a\.jsonl:2: not JSON"),
    ("a.jsonl", '["x"]\n', r"a\.jsonl:1: not a JSON object"),
    ("a.jsonl", "", r"a\.jsonl: the file is empty"),
    ("a.csv", "prompt\n", "no rows"),
    ("a.jsonl", '{"prompt": "\\ud83d"}\n', r"a\.jsonl:1: prompt: half of a surrogate pair \(\\ud83d\)"),
    ("a.jsonl", '{"prompt": "\xff"}'.encode("latin-1"), r"a\.jsonl:1: not UTF-8 text \(byte 0xff\)"),
    ("a.csv", "\ufeffprompt\nno\nnaïve\n".encode("utf-8-sig")[3:].replace(b"\xc3\xaf", b"\xef"),
     r"a\.csv:3: not UTF-8 text \(byte 0xef\)(.|\n)*iconv"),
    ("a.jsonl", '{"prompt": "x"}'.encode("utf-16"), r"a\.jsonl:1: UTF-16LE text"),
    ("a.jsonl", '{"prompt": "x"}\n'.encode("utf-16-be"), r"a\.jsonl:1: UTF-16BE text(.|\n)*iconv -f UTF-16BE"),
    ("a.csv", "prompt\nhello\n".encode("utf-16-be"), r"a\.csv:1: UTF-16BE text(.|\n)*iconv -f UTF-16BE"),
    ("a.jsonl.gz", gzip.compress(b'{"prompt": "x"}', mtime=0)[:-9], "cannot be unpacked(.|\n)*gzip -t"),
    ("a.json", '[{"prompt": "x"},\n oops]', r"a\.json:2: not JSON"),
    ("a.json", '{"prompt": "x"}\n{"prompt": "y"}', r"a\.json:2: not JSON(.|\n)*named \.jsonl"),
    ("a.json", '[{"prompt": "x"}, 3]', r"a\.json: entry 2: not a JSON object: 3"),
    ("a.csv", 'prompt,b\n"two\nlines",1\n\ny\n', r"a\.csv:5: the row has not as many columns \(1\)"),
    ("a.csv", 'prompt\nx\n"never closed\ny\n', r"a\.csv:3: not CSV: unexpected end of data"),
    ("a.csv", "prompt;answer\nx;y\n", r"a\.csv:1: one column(.|\n)*not by ';'"),
    ("a.csv", "prompt,prompt\nx,y\n", r"a\.csv:1: two columns are named 'prompt'"),
    ("a.jsonl", '{"prompt": ' + "[" * 100_000, r"a\.jsonl:1: JSON that cannot be read"),
    ("a.json", "[" * 100_000, r"a\.json:1: JSON that cannot be read"),
    ("a.zip", "x", r"name a file in it: .*a\.zip!inside\.jsonl"),
    ("a.json", '{"a": 1}', "not a list of JSON objects"),
    ("a.csv", "prompt,b\nx,1\ny\n", r"a\.csv:3: the row has not as many columns"),
    ("a.parquet", "junk", "not a Parquet file"),
    ("a.xlsx", "x", "'.xlsx' files cannot be read"),
    ("a.jsonl", '{"text": "x"}\n', "no column 'prompt'"),
])
def test_files_that_cannot_be_used_say_where_and_why(tmp_path: Path, name: str, content: str | bytes,
                                                     expected: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FmloadError, match=expected):
        made("jsonl", files=[str(tmp_path / name)])


@pytest.mark.parametrize("name", ["/nowhere/*.jsonl", "/nowhere/a.jsonl"])
def test_a_file_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(FmloadError, match="no such file"):
        files.find([name])


def test_a_fingerprint_follows_the_content_not_the_name_or_the_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path)
    before = files.fingerprint(files.find([str(path)]))
    write(path)
    assert files.fingerprint(files.find([str(path)])) == before
    write(path, ROWS[1:])
    assert files.fingerprint(files.find([str(path)])) != before


def test_longbench_asks_about_its_passages(tmp_path: Path) -> None:
    rows = [{"input": f"Who wrote book {number}?", "context": "Passage 1: …", "answers": ["Ann", "Anne"], "length": 9,
             "dataset": "hotpotqa", "language": "en", "all_classes": None, "_id": str(number)} for number in range(3)]
    prompts = made("longbench", files=[write(tmp_path / "hotpotqa.jsonl", rows)], filter={"language": "en"})
    assert len(prompts) == 3
    assert all("Passage 1: …" in (prompt.text or "") and prompt.reference == "Ann" for prompt in prompts)


def test_longbench_without_files_means_the_published_archive() -> None:
    spec = PromptSpec.model_validate({"name": "s", "source": "longbench", "dataset": "2wikimqa_e"})
    assert SOURCES.load("longbench").from_spec(spec).names() == ["hf:THUDM/LongBench/data.zip!data/2wikimqa_e.jsonl"]


def test_qmsum_makes_a_prompt_of_every_query(tmp_path: Path) -> None:
    row = {"topic_list": [], "general_query_list": [{"query": "Summarize.", "answer": "All agreed."}],
           "specific_query_list": [{"query": "Who spoke?", "answer": "Bo.", "relevant_text_span": [["0", "1"]]}],
           "meeting_transcripts": [{"speaker": "Bo", "content": "Let us begin."}, {"speaker": "Al", "content": "Yes."}]}
    prompts = made("qmsum", files=[write(tmp_path / "q.jsonl", [row])])
    assert {prompt.reference for prompt in prompts} == {"All agreed.", "Bo."}
    assert all((prompt.text or "").startswith("Bo: Let us begin.\nAl: Yes.\n\n") for prompt in prompts)


def test_meetings_can_be_filtered_by_language(tmp_path: Path) -> None:
    rows = [{"language": language, "specific_query_list": [{"query": "Who?", "answer": "Bo."}],
             "meeting_transcripts": [{"speaker": "Bo", "content": language}]} for language in ("en", "fr")]
    [prompt] = made("qmsum", files=[write(tmp_path / "q.jsonl", rows)], filter={"language": "fr"})
    assert (prompt.text or "").startswith("Bo: fr")


SHAREGPT = [{"id": "c1", "conversations": [
    {"from": "human", "value": "First question?"}, {"from": "gpt", "value": "The first answer is long."},
    {"from": "human", "value": "Second question?"}, {"from": "gpt", "value": "Short."}]},
    {"id": "c2", "conversations": [{"from": "gpt", "value": "Nobody asked."}]}]


def test_sharegpt_sends_the_first_question_and_asks_for_as_long_an_answer(tmp_path: Path) -> None:
    [prompt] = made("sharegpt", files=[write(tmp_path / "s.json", SHAREGPT)])
    assert prompt.messages == [{"role": "user", "content": "First question?"}]
    assert prompt.output_tokens == BUNDLED.count("The first answer is long.")


def test_sharegpt_can_send_the_conversation_turn_by_turn(tmp_path: Path) -> None:
    prompts = made("sharegpt", files=[write(tmp_path / "s.json", SHAREGPT)], turns=5, think="3s")
    assert [(prompt.conversation, prompt.turn, prompt.think_s) for prompt in prompts] == [("c1", 0, 0), ("c1", 1, 3)]
    assert [len(prompt.messages or []) for prompt in prompts] == [1, 3]


def test_openorca_gives_system_and_question(tmp_path: Path) -> None:
    rows = [{"id": "1", "system_prompt": "You are kind.", "question": "Why?", "response": "Because."},
            {"id": "2", "system_prompt": "", "question": "How?", "response": "So."}]
    prompts = made("openorca", files=[write(tmp_path / "o.parquet", rows)], shuffle=False)
    assert [[one["role"] for one in prompt.messages or []] for prompt in prompts] == [["system", "user"], ["user"]]
    assert [prompt.reference for prompt in prompts] == ["Because.", "So."]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
@pytest.mark.parametrize(("name", "lines"), [
    ("a.jsonl", '{"prompt": "one<>two"}\n{"prompt": "three"}\r\n'), ("a.csv", "prompt\none<>two\r\nthree\n")])
def test_only_a_newline_ends_a_line_whatever_stands_inside_a_text(
        tmp_path: Path, name: str, lines: str, mark: str) -> None:
    (tmp_path / name).write_bytes(lines.replace("<>", mark).encode())
    prompts = made("jsonl", files=[str(tmp_path / name)], shuffle=False)
    assert [prompt.text for prompt in prompts] == [f"one{mark}two", "three"]


def problems(tmp_path: Path, content: str, name: str = "a.jsonl", **options: Any) -> str:
    """What is said of a file with this content."""
    (tmp_path / name).write_text(content)
    with pytest.raises(FmloadError) as raised:
        made(options.pop("source", "jsonl"), files=[str(tmp_path / name)], **options)
    return str(raised.value).replace(f"{tmp_path}/", "")


def test_bad_rows_are_told_together_whatever_is_wrong_with_each(tmp_path: Path) -> None:
    rows = [{"prompt": "x", "n": 5}, {"promt": "x"}, {"prompt": ["x"]}, {"prompt": "x", "n": "many"},
            {"prompt": "x", "n": 0}]
    content = "".join(json.dumps(row) + "\n" for row in rows) + "\n{oops}\n"
    assert problems(tmp_path, content, output_tokens_column="n").splitlines() == [
        "5 problems",
        "a.jsonl:7: not JSON: Expecting property name enclosed in double quotes (character 2); "
        "one JSON object a line; a list of objects is a .json file",
        "a.jsonl:2: no 'prompt'; did you mean 'promt'?; the row has promt",
        "a.jsonl:3: prompt: must be text, not a list; chat messages belong in a column of their own (messages_column)",
        "a.jsonl:4: n: must be a whole number of at least 1, not 'many'; mend it, or leave it empty",
        "a.jsonl:5: n: must be a whole number of at least 1, not 0; mend it, or leave it empty",
    ]


def test_of_many_bad_rows_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    lines = problems(tmp_path, '{"prompt": "x"}\n' + "oops\n" * 2000).splitlines()
    assert lines[0] == "2,000 problems"
    assert [line.split(": ")[0] for line in lines[1:6]] == [f"a.jsonl:{number}" for number in range(2, 7)]
    assert lines[6:] == ["… and 1,995 more", "hint: one JSON object a line; a list of objects is a .json file"]


def test_a_broken_file_does_not_hide_the_bad_rows_of_the_next(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"x" * 99)[:-9])
    (tmp_path / "c.jsonl").write_text("oops\n")
    with pytest.raises(FmloadError, match=r"2 problems\n.*b\.jsonl\.gz: cannot be unpacked.*\n.*c\.jsonl:1: not JSON"):
        made("jsonl", files=[str(tmp_path / "b.jsonl.gz"), str(tmp_path / "c.jsonl")])


def test_a_row_of_csv_is_named_by_the_line_on_which_it_begins(tmp_path: Path) -> None:
    content = 'prompt,n\r\n"two\r\nlines",5\r\n\r\n"and\r\nmore",many\r\n'
    assert problems(tmp_path, content, "a.csv", output_tokens_column="n").startswith("a.csv:5: n: must be a whole")


@pytest.mark.parametrize(("messages", "expected"), [
    ("hello", "but 'hello'"), ([], "but an empty list"), ([{"content": "x"}], "but one without a role: a mapping"),
    ([{"role": "user"}, "x"], "but one without a role: 'x'")])
def test_messages_that_are_no_chat_are_told_with_what_stands_there(tmp_path: Path, messages: Any,
                                                                   expected: str) -> None:
    content = json.dumps({"messages": messages}) + "\n"
    assert f"a.jsonl:1: messages: not a list of chat messages, {expected}" in problems(tmp_path, content)


def test_rows_of_another_language_need_not_be_whole(tmp_path: Path) -> None:
    rows = [{"prompt": "x", "language": "en"}, {"language": "fr"}]
    assert len(made("jsonl", files=[write(tmp_path / "a.jsonl", rows)], filter={"language": "en"})) == 1


@pytest.mark.parametrize(("source", "row", "expected"), [
    ("sharegpt", {"id": "1"}, "a.jsonl:1: no 'conversations'"),
    ("sharegpt", {"conversations": "hello"}, "a.jsonl:1: conversations: must be a list of objects, not 'hello'"),
    ("qmsum", {"meeting_transcripts": ["x"]}, "a.jsonl:1: meeting_transcripts: must be a list of objects, not a list"),
    ("openorca", {"questoin": "x"}, "a.jsonl:1: no 'question'; did you mean 'questoin'?"),
    ("longbench", {"input": "x"}, "no column 'context'"),
])
def test_rows_of_published_sets_that_are_none_are_named(tmp_path: Path, source: str, row: dict[str, Any],
                                                        expected: str) -> None:
    assert expected in problems(tmp_path, json.dumps(row) + "\n", source=source)


@pytest.mark.parametrize(("name", "expected"), [
    ("lost.jsonl", "did you mean 'last.jsonl'"), ("", "a folder, not a file"),
    ("broken.jsonl", "a link to one that is gone"),
    ("nowhere/a.jsonl", "there is no folder"),
    ("*.csv", "nothing there has a name like this"), ("a.zip!rows.jsonl", "no 'rows.jsonl' in the archive")])
def test_a_name_that_finds_nothing_is_told_with_what_is_there(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "last.jsonl").write_text("{}")
    (tmp_path / "broken.jsonl").symlink_to("gone.jsonl")
    write(tmp_path / "a.zip")
    with pytest.raises(FmloadError, match=expected):
        made("jsonl", files=[f"{tmp_path}/{name}"])


def test_numbers_are_taken_for_text_and_marks_of_byte_order_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"prompt": 0}\r\n{"prompt": 1.5}\r\n')
    (tmp_path / "t.txt").write_bytes("\ufeff{prompt}.".encode())
    prompts = made("jsonl", files=[str(tmp_path / "a.jsonl")], shuffle=False, template=str(tmp_path / "t.txt"))
    assert [prompt.text for prompt in prompts] == ["0.", "1.5."]
    assert [prompt.text for prompt in made("jsonl", files=[str(tmp_path / "a.jsonl")], shuffle=False)] == ["0", "1.5"]


def test_a_base64_image_longer_than_a_files_name_can_be_is_taken(tmp_path: Path) -> None:
    row = {"prompt": "What?", "image": base64.b64encode(PNG + b"\0" * 300).decode()}
    assert made("jsonl", files=[write(tmp_path / "a.jsonl", [row])], image_column="image")[0].messages


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.zip"])
def test_a_small_file_that_unpacks_to_too_much_is_refused(name: str, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 1000)
    path = write(tmp_path / name, [{"text": "x" * 5000}])
    with pytest.raises(FmloadError, match="unpacks to more than"):
        files.content(files.Found(name, Path(path), "inside/rows.jsonl" if name.endswith(".zip") else None))
