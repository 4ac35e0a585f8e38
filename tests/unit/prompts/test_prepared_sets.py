"""Prepared sets: files, shards, tokenizers, counts, and a cache that cannot go stale."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from fake_tokenizer import ThreeLetters
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload.config import RunFile, parse
from fmload.model.prompt import Prompt
from fmload.plan.stages import plan
from fmload.prompts import cache, prepare, prompts_for, read, shards, store, tokenizer, wanted
from fmload.prompts.shortage import shortages
from fmload.results.folder import Results

ENDPOINT = {"name": "one", "protocol": "openai", "url": "http://h/v1"}
PROMPTS = {"name": "short", "source": "synthetic", "input_tokens": 30, "count": 12, "nonce": False}


def run_file(**changes: Any) -> RunFile:
    values = {"name": "sample", "endpoints": [ENDPOINT], "prompts": [PROMPTS], "load": {"concurrency": [1]}, **changes}
    return parse(json.dumps(values), "x.yml", Path("/"))


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=30), st.integers(1, 7))
def test_shards_are_disjoint_complete_in_order_and_keep_conversations_whole(conversations: list[str], n: int) -> None:
    prompts = [Prompt(id=str(index), prompt_set="s", text="x", conversation=name or None)
               for index, name in enumerate(conversations)]
    dealt = shards(prompts, n)
    ids = [prompt.id for shard in dealt for prompt in shard]
    assert len(dealt) == n
    assert sorted(ids, key=int) == [prompt.id for prompt in prompts]
    assert all(shard == sorted(shard, key=lambda prompt: int(prompt.id)) for shard in dealt)
    for name in set(conversations) - {""}:
        assert sum(any(prompt.conversation == name for prompt in shard) for shard in dealt) == 1


@given(st.integers(1, 60), st.integers(1, 9))
def test_shards_of_single_prompts_differ_by_one_at_most(count: int, n: int) -> None:
    sizes = [len(shard) for shard in shards([Prompt(id=str(i), prompt_set="s", text="x") for i in range(count)], n)]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=30)
@given(st.builds(Prompt, id=st.text(max_size=5), prompt_set=st.just("s"), text=st.none() | st.text(max_size=9),
                 input_tokens=st.none() | st.integers(0, 9), output_tokens=st.none() | st.integers(1, 9),
                 parameters=st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=2),
                 offset_s=st.none() | st.just(0.0) | st.floats(0, 9), turn=st.integers(0, 3), think_s=st.floats(0, 3)))
def test_what_is_written_is_read(prompt: Prompt) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store.write(Path(folder) / "s.jsonl", [prompt, prompt])
        assert read(Path(folder) / "s.jsonl") == [prompt, prompt]


@pytest.mark.parametrize("content", [b"not json\n", b'{"surprise": 1}\n', b"[1]\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.jsonl").write_bytes(content)
    with pytest.raises(FmloadError, match="not a file of prompts"):
        read(tmp_path / "s.jsonl")


def test_a_set_is_written_into_the_results_folder_with_ids_in_order(tmp_path: Path) -> None:
    paths = prepare(run_file(), Results(tmp_path))
    assert paths == {"short": tmp_path / "prompts" / "short.jsonl"}
    assert [prompt.id for prompt in read(paths["short"])] == [f"short-{index:06d}" for index in range(12)]


def test_progress_is_told_and_ends_with_the_count(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    prepare(run_file(), tmp_path, lambda *news: told.append(news))
    assert told[-1] == ("short", 12, 12)


def test_an_endpoint_gets_the_prompts_made_for_its_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = tokenizer._load
    monkeypatch.setattr(tokenizer, "_load", lambda name: ThreeLetters() if name == "three-letters" else load(name))
    both = run_file(endpoints=[ENDPOINT, {**ENDPOINT, "name": "two", "tokenizer": "three-letters"}])
    prompts = read(prepare(both, tmp_path)["short"])
    for spec, counted in ((both.endpoints[0], tokenizer.bundled_count), (both.endpoints[1], ThreeLetters().count)):
        mine = prompts_for(prompts, spec.tokenizer)
        assert [counted(prompt.text or "") for prompt in mine] == [30] * 12
    assert len({prompt.id for prompt in prompts}) == 24


def test_the_second_time_comes_from_the_cache_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(run_file(), tmp_path / "a")["short"].read_bytes()
    monkeypatch.setattr("fmload.prompts.preparation.make_set", None)
    assert prepare(run_file(), tmp_path / "b")["short"].read_bytes() == first


def test_a_nonce_is_never_cached(tmp_path: Path) -> None:
    nonce = run_file(prompts=[{**PROMPTS, "nonce": True}])
    first, second = (prepare(nonce, tmp_path / name)["short"].read_bytes() for name in "ab")
    assert first != second


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert prepare(run_file(), tmp_path / "out")


def keys(tmp_path: Path, text: str, **changes: Any) -> str:
    """The key of a set whose file and template hold `text`."""
    from fmload.plugins import SOURCES

    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": text}) + "\n")
    (tmp_path / "t.txt").write_text(changes.pop("template_text", "{prompt}"))
    seed = changes.pop("seed", 1)
    count = changes.pop("wanted", None)
    which = changes.pop("tokenizer", tokenizer.Tokenizer.load("bundled"))
    values = {"name": "s", "source": "jsonl", "files": [str(tmp_path / "a.jsonl")],
              "template": str(tmp_path / "t.txt"), **changes}
    spec = run_file(prompts=[values]).prompts[0]
    return cache.key(spec, SOURCES.load("jsonl").from_spec(spec), which, seed, count, "s-")


@pytest.mark.parametrize("changes", [
    {"text": "other"}, {"template_text": "x {prompt}"}, {"seed": 2}, {"wanted": 9}, {"filter": {"tokens": [1, 5]}},
    {"output_tokens": 9}, {"unique": False}, {"column": "text"}, {"tokenizer": ThreeLetters()}])
def test_the_cache_key_changes_with_everything_a_set_depends_on(tmp_path: Path, changes: dict[str, Any]) -> None:
    before = keys(tmp_path, "text")
    assert keys(tmp_path, "text") == before
    assert keys(tmp_path, **{"text": "text", **changes}) != before


def test_the_cache_key_changes_with_the_code_and_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(tmp_path, "text")
    monkeypatch.setattr(cache, "_code", lambda: "another version")
    after = keys(tmp_path, "text")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    assert len({before, after, keys(tmp_path, "text")}) == 3


@pytest.mark.parametrize(("load", "expected"), [
    ({"concurrency": [1, 4], "ramp": "5s", "warmup": "5s", "window": "10s"}, 5 * 20 * 4),
    ({"rate": [10], "ramp": 0, "warmup": "10s", "window": "10s"}, 200),
    ({"concurrency": [2], "requests": 300, "ramp": 0, "warmup": "10s"}, 300 + 2 * 10 * 4),
    ({"concurrency": [1], "ramp": 0, "warmup": 0, "window": "1s"}, 50),
    ({"concurrency": [512]}, 10_000),
    ({"concurrency": [1], "ramp": 0, "warmup": 0, "window": "100s", "repeat": 3}, 1200),
])
def test_as_many_prompts_as_the_plan_can_use(load: dict[str, Any], expected: int) -> None:
    run = run_file(load=load, prompts=[{"name": "s", "source": "synthetic", "input_tokens": 9}])
    assert wanted(run, run.prompts[0]) == expected


@pytest.mark.parametrize(("length", "expected"), [
    (20, 2 * 20 / 0.05), ({"min": 5, "max": 15}, 2 * 20 / 0.03), (500, 2 * 20 / 0.25)])
def test_short_answers_use_up_more_prompts(length: Any, expected: float) -> None:
    run = run_file(load={"concurrency": [2], "ramp": "5s", "warmup": "5s", "window": "10s"},
                   prompts=[{"name": "s", "source": "synthetic", "input_tokens": 9, "output_tokens": length}])
    assert wanted(run, run.prompts[0]) == int(expected)


@pytest.mark.parametrize("arrivals", ["poisson", {"process": "step", "levels": [3], "every": "5s"}])
def test_every_arrival_of_an_open_loop_has_a_prompt_of_its_own(arrivals: Any) -> None:
    for seed in range(10):
        run = run_file(load={"rate": [10], "arrivals": arrivals, "ramp": 0, "warmup": "5s", "window": "5s"}, seed=seed,
                       prompts=[{"name": "s", "source": "synthetic", "input_tokens": 9}])
        prompts = [Prompt(str(number), "s", text="x") for number in range(wanted(run, run.prompts[0]) or 0)]
        assert not list(shortages(run, plan(run), {"s": prompts}))


def test_a_count_is_a_count_and_files_give_all_they_have() -> None:
    run = run_file(prompts=[PROMPTS, {"name": "f", "source": "jsonl", "files": ["x"]}])
    assert [wanted(run, spec) for spec in run.prompts] == [12, None]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FmloadError, match="file: cannot be the prompts' folder: File exists"):
        prepare(run_file(), tmp_path / "file")


def test_a_set_whose_writing_was_cut_short_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(KeyboardInterrupt):
        prepare(run_file(), tmp_path)
    assert not (tmp_path / "short.jsonl").exists()


def test_the_users_own_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"prompt": "x"}\n')
    sets = [{"name": name, "source": "jsonl", "files": [str(tmp_path / "*.jsonl")]} for name in "ab"]
    with pytest.raises(FmloadError, match=r"prompt set 'a' is made from .*b\.jsonl, which would be written over"):
        prepare(run_file(prompts=sets), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.jsonl"]
    assert (tmp_path / "b.jsonl").read_text() == '{"prompt": "x"}\n'
