"""Traces as prompt sources: instants, exact lengths, shared blocks, and rows that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.base.resources import resource
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.plugins import SOURCES
from fmload.prompts.selection import make_set
from fmload.prompts.tokenizer import Tokenizer
from fmload.prompts.trace import Trace

BUNDLED = Tokenizer.load("bundled")
AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:48.0000000,12,1
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
45,GPT-4,41,0,41,API log
118,GPT-4,417,276,693,Conversation log
"""


def traced(tmp_path: Path, source: str, content: str, part: tuple[float, float | None] = (0.0, None), seed: str = "1",
           **options: Any) -> list[Prompt]:
    path = tmp_path / ("trace.jsonl" if source == "mooncake" else "trace.csv")
    path.write_text(content)
    spec = PromptSpec.model_validate({"name": "set", "source": source, "files": [str(path)], **options})
    made: Trace = SOURCES.load(source).from_spec(spec).within(*part)
    return make_set(spec, made, BUNDLED, seed, spec.count, lambda *news: None)


def jsonl(*rows: tuple[float, int, int, list[int]]) -> str:
    keys = ("timestamp", "input_length", "output_length", "hash_ids")
    return "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows)


def shape(prompts: list[Prompt]) -> list[tuple[float | None, int | None, int | None]]:
    return [(prompt.offset_s, prompt.input_tokens, prompt.output_tokens) for prompt in prompts]


def test_an_azure_trace_gives_instants_and_lengths_in_order_of_arrival(tmp_path: Path) -> None:
    prompts = traced(tmp_path, "azure_trace", AZURE)
    assert shape(prompts) == [(0.0, 374, 44), (pytest.approx(1.31941), 12, 1), (pytest.approx(4.314579), 396, 109)]


def test_the_azure_trace_of_2024_has_a_time_zone(tmp_path: Path) -> None:
    rows = ("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,2162,5\n"
            "2024-05-10 00:00:00.017335+00:00,2399,6\n")
    assert shape(traced(tmp_path, "azure_trace", rows)) == [(0.0, 2162, 5), (pytest.approx(0.007405), 2399, 6)]


def test_burstgpt_leaves_failures_out_unless_asked(tmp_path: Path) -> None:
    assert shape(traced(tmp_path, "burstgpt", BURSTGPT)) == [(0, 472, 18), (40, 1087, 230), (113, 417, 276)]
    assert (40, 41, 1) in shape(traced(tmp_path, "burstgpt", BURSTGPT, failures=True))


def test_burstgpt_can_be_one_models_requests(tmp_path: Path) -> None:
    assert shape(traced(tmp_path, "burstgpt", BURSTGPT, models=["GPT-4"])) == [(0, 417, 276)]
    assert shape(traced(tmp_path, "burstgpt", BURSTGPT, log_types=["API log"], failures=True)) == [(0, 41, 1)]
    with pytest.raises(FmloadError, match=r"no row has 'GPT4'; did you mean 'GPT-4'\?(.|\n)*there are: ChatGPT, GPT-4"):
        traced(tmp_path, "burstgpt", BURSTGPT, models=["GPT4"])


def test_a_part_of_a_trace_begins_at_its_start(tmp_path: Path) -> None:
    assert shape(traced(tmp_path, "burstgpt", BURSTGPT, (30.0, 50.0))) == [(10, 1087, 230)]
    with pytest.raises(FmloadError, match="nothing arrives in the part that is asked for; the trace lasts 113s"):
        traced(tmp_path, "burstgpt", BURSTGPT, (1000.0, None))


def test_another_part_of_a_trace_is_another_set_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(AZURE)
    spec = PromptSpec.model_validate({"name": "set", "source": "azure_trace", "files": [str(tmp_path / "trace.csv")]})
    source: Trace = SOURCES.load("azure_trace").from_spec(spec)
    assert source.within(0.0, None).fingerprint() != source.within(1.0, None).fingerprint()


@pytest.mark.parametrize("name", ["azure", "burstgpt", "mooncake"])
def test_every_length_of_the_traces_that_ship_is_exact(name: str) -> None:
    suffix = "jsonl" if name == "mooncake" else "csv"
    source = "azure_trace" if name == "azure" else name
    path = str(resource("configs", f"traces/{name}.{suffix}"))
    spec = PromptSpec.model_validate({"name": "set", "source": source, "files": [path]})
    prompts = make_set(spec, SOURCES.load(source).from_spec(spec), BUNDLED, "1", 40, lambda *news: None)
    assert all(BUNDLED.count(prompt.text or "") == prompt.input_tokens for prompt in prompts)


def test_lengths_can_be_cut(tmp_path: Path) -> None:
    prompts = traced(tmp_path, "azure_trace", AZURE, max_input_tokens=100, max_output_tokens=50)
    assert shape(prompts) == [(0.0, 100, 44), (pytest.approx(1.31941), 12, 1), (pytest.approx(4.314579), 100, 50)]
    assert all(BUNDLED.count(prompt.text or "") == prompt.input_tokens for prompt in prompts)


def test_arrivals_with_one_text_are_all_kept(tmp_path: Path) -> None:
    row = (0, 100, 5, [1])
    assert len(traced(tmp_path, "mooncake", jsonl(row, row, row))) == 3


def test_the_seed_decides_the_texts(tmp_path: Path) -> None:
    one, again, other = (traced(tmp_path, "azure_trace", AZURE, seed=seed) for seed in ("1", "1", "2"))
    assert one == again
    assert all(a.text != b.text for a, b in zip(one, other, strict=True))


def shared(one: Prompt, other: Prompt) -> int:
    """Tokens of the common beginning of two prompts."""
    first, second = BUNDLED.encode(one.text or ""), BUNDLED.encode(other.text or "")
    same = [a == b for a, b in zip(first, second, strict=False)]
    return same.index(False) if False in same else len(same)


def test_mooncake_prompts_begin_alike_as_far_as_their_blocks_do(tmp_path: Path) -> None:
    prompts = traced(tmp_path, "mooncake", jsonl(
        (0, 50, 5, [1, 2, 3]), (1000, 50, 5, [1, 2, 4]), (1500, 64, 5, [1, 9, 3, 5]), (3000, 50, 5, [1, 2, 3])),
        block_tokens=20)
    assert [prompt.offset_s for prompt in prompts] == [0.0, 1.0, 1.5, 3.0]
    assert all(BUNDLED.count(prompt.text or "") == prompt.input_tokens for prompt in prompts)
    first, second, third, fourth = prompts
    assert first.text == fourth.text
    assert 40 <= shared(first, second) < 50
    assert 20 <= shared(first, third) < 40


def test_mooncake_blocks_are_alike_in_every_process(tmp_path: Path) -> None:
    rows = jsonl((0, 50, 5, [1, 2, 3]), (1000, 50, 5, [1, 2, 4]))
    assert traced(tmp_path, "mooncake", rows, block_tokens=20) == traced(tmp_path, "mooncake", rows, block_tokens=20)


def test_a_mooncake_prompt_longer_than_its_blocks_goes_on_with_text_of_its_own(tmp_path: Path) -> None:
    prompts = traced(tmp_path, "mooncake", jsonl((0, 100, 5, [1]), (0, 100, 5, [1])), block_tokens=20)
    assert 20 <= shared(*prompts) < 60


def test_a_nonce_would_undo_what_mooncake_is_for(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="nonce would make every prompt begin differently"):
        traced(tmp_path, "mooncake", jsonl((0, 10, 1, [1])), nonce=True)


@pytest.mark.parametrize(("source", "content", "words"), [
    ("azure_trace", AZURE.replace("374", "many"), r"trace.csv:2: .*: ContextTokens: must be .*, not 'many'"),
    ("azure_trace", AZURE.replace("18:15:50.9951690", "noon"), r"trace.csv:3: not a row of the trace"),
    ("azure_trace", AZURE.replace("ContextTokens", "Contexttokens"), r"no column 'ContextTokens'; did you mean"),
    ("burstgpt", BURSTGPT.replace("\n45,", "\nnan,", 1), r"trace.csv:3: .*the instant is nan"),
    ("mooncake", jsonl((0, 1, 1, [])) + '{"timestamp": 3}\n', r"trace.jsonl:2: no column 'input_length'"),
    ("mooncake", jsonl((0, 1, 1, [])) + "oops\n", r"trace.jsonl:2: not JSON"),
    ("azure_trace", AZURE.splitlines()[0] + "\n", "no rows in .* that can be replayed")])
def test_what_is_no_row_of_the_trace_is_named_with_its_file_and_row(tmp_path: Path, source: str, content: str,
                                                                    words: str) -> None:
    with pytest.raises(FmloadError, match=words):
        traced(tmp_path, source, content)
