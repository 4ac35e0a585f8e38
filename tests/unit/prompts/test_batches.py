"""Requests of several texts: put together from a set's texts, or as rows of a file have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config import parse
from fmload.model.prompt import Prompt
from fmload.prompts import prepare, read
from fmload.prompts.tokenizer import Tokenizer

SET = {"name": "s", "source": "synthetic", "input_tokens": {"min": 5, "max": 9}, "count": 6, "nonce": False}


def made(folder: Path, **keys: Any) -> list[Prompt]:
    protocol = "rerank" if "query_tokens" in keys else "embeddings"
    values = {"name": "r", "endpoints": [{"name": "e", "protocol": protocol, "url": "http://h"}],
              "prompts": [{**({} if "files" in keys else SET), "name": "s", **keys}], "load": {"concurrency": [1]}}
    return read(prepare(parse(json.dumps(values), "x.yml", Path("/")), folder)["s"])


def rows(folder: Path, *values: Any) -> dict[str, Any]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in values))
    return {"source": "jsonl", "files": [str(path)], "shuffle": False}


def test_count_is_of_requests_and_batch_of_texts_in_each(tmp_path: Path) -> None:
    prompts = made(tmp_path, batch=4)
    count = Tokenizer.load("bundled").count
    assert [len(prompt.inputs or ()) for prompt in prompts] == [4] * 6
    assert all(prompt.text is None and prompt.id for prompt in prompts)
    assert all(prompt.input_tokens == sum(map(count, prompt.texts)) for prompt in prompts)
    texts = [text for prompt in prompts for text in prompt.texts]
    assert len(set(texts)) == 24
    assert all(5 <= count(text) <= 9 for text in texts)


def test_a_query_of_its_length_is_made_for_each_request_and_counts_once(tmp_path: Path) -> None:
    prompts = made(tmp_path, batch=3, query_tokens=7)
    count = Tokenizer.load("bundled").count
    assert [count(prompt.text or "") for prompt in prompts] == [7] * 6
    assert len({prompt.text for prompt in prompts}) == 6
    assert all(prompt.input_tokens == 7 + sum(map(count, prompt.texts)) for prompt in prompts)


def test_the_same_seed_makes_the_same_requests(tmp_path: Path) -> None:
    first, second = (made(tmp_path / name, batch=2, query_tokens=5) for name in "ab")
    assert first == second


def test_rows_with_lists_are_one_request_each(tmp_path: Path) -> None:
    found = made(tmp_path, **rows(tmp_path, {"input": ["a b", "c"]}, {"input": ["d"]}))
    assert [prompt.inputs for prompt in found] == [["a b", "c"], ["d"]]
    assert [prompt.input_tokens for prompt in found] == [3, 1]


def test_rows_with_query_and_documents_are_rankings(tmp_path: Path) -> None:
    found = made(tmp_path, **rows(tmp_path, {"query": "which?", "documents": ["a", "b"]}))
    assert [(prompt.text, prompt.inputs) for prompt in found] == [("which?", ["a", "b"])]


def test_rows_of_one_text_are_put_together_and_the_rest_left_out(tmp_path: Path) -> None:
    found = made(tmp_path, batch=2, **rows(tmp_path, *({"prompt": text} for text in "abcde")))
    assert [prompt.inputs for prompt in found] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(("values", "keys", "told"), [
    ([{"input": ["a", 5]}], {}, "must be a list of texts; at 1 there is 5"),
    ([{"input": ["a", ""]}], {}, "at 1 there is"),
    ([{"documents": ["a"]}], {}, "no 'query'"),
    ([{"input": ["a", "b"]}], {"batch": 2}, "inputs of their own"),
    ([{"messages": [{"role": "user", "content": "x"}]}], {"batch": 1}, "chat messages"),
    ([{"prompt": "a"}], {"batch": 2}, "1 texts are fewer than one request has"),
])
def test_rows_that_are_no_request_are_told(tmp_path: Path, values: list[Any], keys: dict[str, Any], told: str) -> None:
    with pytest.raises(FmloadError, match=told):
        made(tmp_path, **rows(tmp_path, *values), **keys)


@pytest.mark.parametrize(("keys", "told"), [
    ({"batch": 0}, "batch"), ({"batch": 4, "output_tokens": 5}, "output_tokens"),
    ({"source": "conversation", "batch": 4}, "makes conversations"),
    ({"source": "azure_trace", "batch": 4}, "a request a row"), ({"batch": "many"}, "batch"),
    ({"query_tokens": {"mean": -1}, "batch": 2}, "query_tokens"),
])
def test_a_run_file_that_asks_for_batches_that_are_none_is_refused(tmp_path: Path, keys: dict[str, Any],
                                                                   told: str) -> None:
    with pytest.raises(FmloadError, match=told):
        made(tmp_path, **keys)


def test_batches_for_an_endpoint_that_generates_are_told_by_validate() -> None:
    values = {"name": "r", "endpoints": [{"name": "chat", "protocol": "openai", "url": "http://h"}],
              "prompts": [{**SET, "batch": 4}], "load": {"concurrency": [1]}}
    with pytest.raises(FmloadError, match=r"prompts\[0\]\.batch.*endpoint 'chat' .*generates text"):
        parse(json.dumps(values), "x.yml", Path("/"))


def test_a_plan_prepares_forty_thousand_texts_at_most(tmp_path: Path) -> None:
    from fmload.prompts import wanted

    values = {"name": "r", "endpoints": [{"name": "e", "protocol": "embeddings", "url": "http://h"}],
              "prompts": [{"name": "s", "source": "synthetic", "input_tokens": 5, "batch": 100}],
              "load": {"concurrency": [64]}}
    run = parse(json.dumps(values), "x.yml", Path("/"))
    assert wanted(run, run.prompts[0]) == 400
