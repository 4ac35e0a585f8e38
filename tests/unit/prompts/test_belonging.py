"""Whose prompts a set holds: drawn by weight and seed, or said by its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config.schema import RunFile
from fmload.model.prompt import Prompt
from fmload.prompts import store
from fmload.prompts.belonging import belonging
from fmload.prompts.preparation import prepare


def run_of(prompts: dict[str, Any], seed: int = 1, protocol: str = "openai") -> RunFile:
    return RunFile.model_validate({
        "name": "r", "seed": seed, "endpoints": [{"name": "e", "protocol": protocol, "url": "http://h:1/v1"}],
        "tenants": [{"name": "gold"}, {"name": "free"}], "prompts": [{"name": "p", "nonce": False, **prompts}],
        "load": {"concurrency": [1]}})


def drawn(count: int, seed: int = 1, **columns: Any) -> list[str | None]:
    run = run_of({"source": "synthetic", "input_tokens": 20, "tenants": {"gold": 1, "free": 3}}, seed)
    prompts = [Prompt(f"p-{i}", "p", "x", **columns) for i in range(count)]
    lines = belonging(store.dumps(prompts), run, run.prompts[0]).splitlines()
    return [store.orjson.loads(line).get("tenant") for line in lines]


def test_tenants_are_drawn_by_weight_and_by_the_seed() -> None:
    found = drawn(4000)
    assert 0.22 < found.count("gold") / 4000 < 0.28  # a quarter, within four standard errors
    assert found == drawn(4000)
    assert found != drawn(4000, seed=2)


def test_all_turns_of_a_conversation_are_of_one_tenant() -> None:
    assert len(set(drawn(50, conversation="c"))) == 1


def rows(folder: Path, text: str, protocol: str = "openai", **keys: Any) -> list[str | None]:
    (folder / "rows.jsonl").write_text(text)
    run = run_of({"source": "jsonl", "files": [str(folder / "rows.jsonl")], "tenant_column": "who", "shuffle": False,
                  **keys}, protocol=protocol)
    paths = prepare(run, folder / "out")
    return [prompt.tenant for prompt in store.read(paths["p"])]


def test_rows_say_whose_they_are_and_one_text_may_be_of_two(tmp_path: Path) -> None:
    text = '{"prompt": "a", "who": "gold"}\n{"prompt": "a", "who": "free"}\n{"prompt": "b", "who": null}\n'
    assert rows(tmp_path, text) == ["gold", "free", None]
    assert rows(tmp_path, text, tenants="free") == ["gold", "free", "free"]


def test_a_row_of_a_tenant_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="tenant_column 'who': no tenant of this run is named 'glod'; did you mean"):
        rows(tmp_path, '{"prompt": "a", "who": "glod"}\n')


def test_a_column_that_no_row_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="no column 'who'"):
        rows(tmp_path, '{"prompt": "a"}\n')


def test_texts_of_tenants_are_not_put_together_in_one_request(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="texts of several tenants"):
        rows(tmp_path, '{"prompt": "a", "who": "gold"}\n{"prompt": "b", "who": "free"}\n', "embeddings", batch=2)
