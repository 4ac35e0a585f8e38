"""Answers that their server did not count are counted after the run, in a process of its own."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

import pytest
from handmade import request, stage, write

from fmload.model.reading import Chunk, Reading
from fmload.model.record import Record, pack
from fmload.prompts.tokenizer import BUNDLED, Tokenizer
from fmload.results import answers, texts
from fmload.results.counting import count_answers, to_count
from fmload.results.folder import Results
from fmload.results.journal import Journal
from fmload.results.texts import TextKeeper
from fmload_analysis.counting.__main__ import chunk_tokens
from fmload_analysis.counting.tokenizers import counter_of
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run

WORDS = ["The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", "."]
SPEC: dict[str, Any] = {
    "name": "t", "endpoints": [{"name": "a", "protocol": "openai", "url": "http://127.0.0.1:9/v1", "model": "m",
                                "price": {"hourly": 1.0}}],
    "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10}], "load": {"concurrency": [1]}}


def uncounted(name: str, at_ms: float, parts: list[str], **columns: Any) -> tuple[Record, Reading]:
    """A record whose tokens are its chunks, and what its server said."""
    record = request(name, at_ms, [at_ms + 40 + 20 * n for n in range(len(parts))], tokens_source="chunks",
                     chunk_tokens_known=False, **columns)
    return record, Reading(chunks=[Chunk(n + 1, text=part) for n, part in enumerate(parts)])


def journaled(root: Path, made: list[tuple[Record, Reading]], spec: dict[str, Any] | None = None) -> Results:
    """A folder as the worker leaves it: records and texts in a journal."""
    results = write(root, [stage(window_ms=10_000)], spec=spec or SPEC)
    journal, keeper = Journal(results.journal / "w0.log"), TextKeeper(1 << 16, 1 << 20)
    for record, reading in made:
        journal.append(pack(record))
        if text := keeper.keep(record, reading):
            journal.append(text)
    journal.close()
    return results


def test_a_whole_answer_without_usage_is_counted_and_marked_as_approximate(tmp_path: Path) -> None:
    text = " ".join(["alpha", "bravo", "delta", "echo", "golf"] * 4)  # 20 words
    journaled(tmp_path, [uncounted(f"r{k}", 500 * k, [text], streamed=False) for k in range(20)])
    result = analyse_run(open_run(tmp_path)).results[0]
    assert 15 <= (result.value("output_tokens_mean") or 0) <= 30
    assert result.summary.evidence.tokens_source == {"approximate": 20}
    check = next(check for check in result.checks if check.name == "source of the token counts")
    assert (check.result, "approximate" in check.sentence) == ("WARN", True)


def test_an_approximate_count_is_the_bundled_tokenizers_and_at_most_a_token_for_four_bytes() -> None:
    bundled = counter_of(None)
    assert bundled.count("the time of the day") == Tokenizer.load(BUNDLED).count("the time of the day")
    assert bundled.count("zyxwvuts" * 4) == 8
    assert bundled.count("") == 1


def test_a_recommendation_by_approximate_counts_says_so(tmp_path: Path) -> None:
    journaled(tmp_path, [uncounted(f"r{k}", 100 * k, ["some words of an answer"], end_ms=100 * k + 99, streamed=False)
                         for k in range(100)])
    (best,) = analyse_run(open_run(tmp_path)).best
    assert best.best is not None
    assert "approximate" in best.sentence


def test_with_the_models_own_tokenizer_the_counts_are_of_the_tokenizer_and_chunks_have_an_itl(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _own_tokenizer(tmp_path / "model")
    spec = {**SPEC, "endpoints": [{**SPEC["endpoints"][0], "tokenizer": str(folder)}]}
    journaled(tmp_path / "run", [uncounted("r0", 0, WORDS)], spec)
    result = analyse_run(open_run(tmp_path / "run")).results[0]
    assert result.summary.evidence.tokens_source == {"tokenizer": 1}
    assert result.value("output_tokens_mean") == 10
    assert result.value("itl_p50") == pytest.approx(0.020)


def test_a_jumpstart_answer_without_counts_is_priced_by_the_models_tokenizer(tmp_path: Path) -> None:
    """21 tokens in one piece, 104 ms an answer, 1 USD an hour: 202 tokens/s and 1.38 USD for a million, not 28.88."""
    text = " ".join(word.strip() for word in (WORDS * 3)[:21])
    folder = _own_tokenizer(tmp_path / "model")
    spec = {**SPEC, "endpoints": [{**SPEC["endpoints"][0], "tokenizer": str(folder), "price": {"hourly": 1.0}}]}
    journaled(tmp_path / "run", [uncounted(f"r{k}", 104 * k, [text], streamed=False) for k in range(96)], spec)
    result = analyse_run(open_run(tmp_path / "run")).results[0]
    assert result.summary.evidence.tokens_source == {"tokenizer": 96}
    assert result.value("output_tokens_mean") == 21
    assert result.value("output_tokens_per_s") == pytest.approx(202, rel=0.01)
    assert result.value("price_per_1m_output_tokens") == pytest.approx(1.38, rel=0.01)


def _own_tokenizer(folder: Path) -> Path:
    """A tokenizer of whole words, as a model's folder holds it."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import models, pre_tokenizers

    vocabulary = {word.strip(): number for number, word in enumerate([*WORDS, "?"])}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "?"}))
    return folder


def test_counts_of_the_server_are_left_alone_and_their_texts_are_not_kept() -> None:
    record, reading = uncounted("r", 0, WORDS)
    assert TextKeeper(1 << 16, 1 << 20).keep(record, reading) is not None
    record.tokens_source = "server"
    assert TextKeeper(1 << 16, 1 << 20).keep(record, reading) is None


def test_what_is_kept_is_bounded_and_a_longer_answer_is_not_cut() -> None:
    record, reading = uncounted("r", 0, WORDS)
    size = len(texts.pack(record, reading))
    keeper = TextKeeper(size, size)
    assert keeper.keep(record, reading) is not None
    assert keeper.full and keeper.keep(record, reading) is None
    assert TextKeeper(size - 1, 10 * size).keep(record, reading) is None


def test_a_text_is_told_from_a_record_and_from_a_kept_answer() -> None:
    record, reading = uncounted("r", 0, WORDS)
    packed = texts.pack(record, reading)
    assert answers.is_answer(packed) and texts.is_text(answers.unpack(packed))
    assert not texts.is_text(answers.unpack(answers.pack(record, reading, 100)))


def test_all_channels_are_counted() -> None:
    record, _ = uncounted("r", 0, ["a", "b"])
    reading = Reading(chunks=[Chunk(1, channel="reasoning", text="think "), Chunk(2, channel="tool", text="call")])
    row = answers.unpack(texts.pack(record, reading))
    assert (row["uncounted"], row["lengths"]) == ("think call", [6, 4])


def test_tokens_of_chunks_are_by_how_many_the_text_grows_and_unknown_where_one_adds_none() -> None:
    assert chunk_tokens("aabbb", [2, 3], len) == [2, 3]
    assert chunk_tokens("aabbb", [2, 0, 3], len) is None
    assert chunk_tokens("", [], len) is None


def test_what_was_counted_is_not_counted_again(tmp_path: Path) -> None:
    results = journaled(tmp_path, [uncounted("r0", 0, WORDS)])
    said: list[str] = []
    open_run(tmp_path)
    assert not to_count(results)
    count_answers(results, said.append)
    assert said == []


def test_kept_answers_lay_the_tokenizers_count_beside_the_servers(tmp_path: Path) -> None:
    folder = _own_tokenizer(tmp_path / "model")
    spec = {**SPEC, "endpoints": [{**SPEC["endpoints"][0], "tokenizer": str(folder)}]}
    results = write(tmp_path / "run", [stage(window_ms=10_000)], spec=spec)
    journal = Journal(results.journal / "w0.log")
    for k in range(5):
        record, reading = uncounted(f"r{k}", 500 * k, WORDS)
        record.tokens_source, record.output_tokens = "server", 5  # half of what was said
        journal.append(pack(record))
        journal.append(answers.pack(record, reading, 1 << 16))
    journal.close()
    result = analyse_run(open_run(tmp_path / "run")).results[0]
    check = next(check for check in result.checks if check.name == "server's output count = tokenizer's")
    assert (check.result, check.figures) == ("FAIL", {"answers": 5, "server": 25, "tokenizer": 50})


def test_an_endpoint_of_which_nothing_is_known_is_counted_with_the_bundled_tokenizer() -> None:
    counter = counter_of(None)
    assert (counter.name, counter.source) == (BUNDLED, "approximate")


def test_a_record_of_several_answers_keeps_its_chunks_unknown() -> None:
    from fmload.results.counts import Count, apply

    record = request("r", 0, [10, 20], tokens_source="chunks", choices=2, chunk_tokens_known=False,
                     chunk_tokens=array("i", [1, 1]))
    applied = apply(record, Count(2, "tokenizer", [1, 1]))
    assert (applied.output_tokens, applied.tokens_source, applied.chunk_tokens_known) == (2, "tokenizer", False)


@pytest.mark.parametrize(("columns", "bytes_kept", "why"), [
    ({"tokens_source": "server", "output_tokens": 10}, 1 << 16, "the model's own tokenizer is not at hand"),
    ({"tokens_source": "server", "output_tokens": 10}, 8, "they were cut where they were kept"),
    ({"tokens_source": "server", "output_tokens": 20, "reasoning_tokens": 10}, 1 << 16, "counted and not shown"),
    ({}, 1 << 16, "the server does not count them"),
    ({"tokens_source": "server", "output_tokens": 10, "channel": "tool"}, 1 << 16, "they hold calls of tools"),
])
def test_of_answers_that_were_kept_and_not_compared_the_audit_says_why(
        tmp_path: Path, columns: dict[str, Any], bytes_kept: int, why: str) -> None:
    results = write(tmp_path, [stage(window_ms=10_000)], spec=SPEC)
    journal = Journal(results.journal / "w0.log")
    for k in range(3):
        record, reading = uncounted(f"r{k}", 500 * k, WORDS)
        told = dict(columns)
        reading.chunks = [chunk._replace(channel=told.get("channel", "answer")) for chunk in reading.chunks]
        for name in told.keys() - {"channel"}:
            setattr(record, name, told[name])
        journal.append(pack(record))
        journal.append(answers.pack(record, reading, bytes_kept))
    journal.close()
    checks = analyse_run(open_run(tmp_path)).results[0].checks
    check = next(check for check in checks if check.name == "server's output count = tokenizer's")
    assert check.result == "NOT APPLICABLE" and "3 answers were kept" in check.sentence and why in check.sentence
