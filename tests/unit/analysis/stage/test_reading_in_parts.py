"""A stage read in parts, kept in small forms, or read twice has the figures of one that lies in memory whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated_results import figures, make
from handmade import request, stage, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fmload.base.errors import FmloadError
from fmload.model.record import to_table
from fmload_analysis.records import batches, parts
from fmload_analysis.records.words import Words
from fmload_analysis.run import open_run
from fmload_analysis.stage import gathering, samples, table
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.stats import nearest_rank, rank_of
from fmload_analysis.stage.summarize import summarize
from fmload_analysis.stage.table import Table, smallest

SECONDS = st.floats(min_value=1e-12, max_value=2e5)
WEIGHTED = st.lists(st.tuples(SECONDS, st.integers(1, 4)), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def made(name: str) -> Path:
        root = tmp_path_factory.mktemp(name)
        make(name, root)
        return root

    return made


@pytest.fixture(scope="module")
def expected(folders: Callable[[str], Path]) -> dict[str, Any]:
    """Read as they always are: made before a test changes how."""
    names = ("plain", "odd", "resumed", "first_schema", "sessions", "embedding")
    return {name: figures(folders(name)) for name in names}


def without_curves(found: Any) -> Any:
    """Curves are for plots, and not exact where a stage has more gaps than are kept."""
    if isinstance(found, dict):
        return {key: without_curves(value) for key, value in found.items() if key != "curve"}
    return [without_curves(value) for value in found] if isinstance(found, list) else found


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.sampled_from([1, 7, 64, 333]), chunks=st.sampled_from([1, 29, 1000]), block=st.integers(1, 1000),
       kept=st.sampled_from([0, 10**6]), name=st.sampled_from(["first_schema", "resumed", "sessions"]))
def test_figures_do_not_depend_on_how_many_requests_are_read_or_kept_at_a_time(
        rows: int, chunks: int, block: int, kept: int, name: str, folders: Callable[[str], Path],
        expected: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "MOST_ROWS", rows)
        patch.setattr(batches, "FEWEST_ROWS", rows)
        patch.setattr(parts, "PART_CHUNKS", chunks)
        patch.setattr(table, "BLOCK_ROWS", block)
        patch.setattr(table, "KEPT_ROWS", kept)
        assert figures(folders(name)) == expected[name]


@pytest.mark.parametrize(("name", "kept"), [("plain", 0), ("odd", 0), ("odd", 1_000), ("resumed", 100),
                                            ("first_schema", 0)])
def test_percentiles_of_more_gaps_than_are_kept_are_exact_after_a_second_reading(
        name: str, kept: int, monkeypatch: pytest.MonkeyPatch, folders: Callable[[str], Path],
        expected: dict[str, Any]) -> None:
    monkeypatch.setattr(samples, "MOST_KEPT", kept)
    monkeypatch.setattr(batches, "MOST_ROWS", 50)
    monkeypatch.setattr(parts, "PART_CHUNKS", 333)
    assert without_curves(figures(folders(name))) == without_curves(expected[name])


@pytest.mark.parametrize("name", ["plain", "odd", "resumed"])
def test_gaps_of_single_tokens_are_those_of_the_general_rule(
        name: str, monkeypatch: pytest.MonkeyPatch, folders: Callable[[str], Path], expected: dict[str, Any],
) -> None:
    monkeypatch.setattr(gathering, "plain_gaps", lambda *_: None)
    assert figures(folders(name)) == expected[name]


@pytest.mark.parametrize("name", ["plain", "odd", "first_schema", "embedding"])
def test_lists_that_the_file_tells_to_hold_one_value_are_as_if_they_were_read(
        name: str, monkeypatch: pytest.MonkeyPatch, folders: Callable[[str], Path], expected: dict[str, Any],
) -> None:
    monkeypatch.setattr(batches, "told_of", lambda _: {})
    assert figures(folders(name)) == expected[name]


def test_a_single_chunk_of_two_tokens_is_read(tmp_path: Path) -> None:
    many = [request(f"r{i}", i, [i + 10, i + 20]) for i in range(200)]
    write(tmp_path, [stage()], [*many, request("two", 300, [310, 330], tokens=[1, 2])])
    run = open_run(tmp_path)
    found = summarize(run, run.stages[0])
    assert found.distributions["itl"].n == 202 and found.distributions["icl"].n == 201
    assert found.distributions["itl"].percentiles == {50.0: 0.01, 90.0: 0.01, 95.0: 0.01, 99.0: 0.01}
    assert found.totals.tokens_out == 403


@pytest.mark.parametrize(("details", "statistics", "empty"), [
    ([None, None], True, True), ([None, "{}"], True, False), ([None, None], False, False)])
def test_a_column_is_passed_over_only_where_the_file_says_that_it_is_empty(
        tmp_path: Path, details: list[str | None], statistics: bool, empty: bool) -> None:
    path = tmp_path / "records.parquet"
    records = [request(f"r{i}", i, [i + 10], detail=detail) for i, detail in enumerate(details)]
    pq.write_table(to_table(records), path, row_group_size=1, write_statistics=statistics)
    assert batches.is_null(pq.read_metadata(path), "detail") is empty
    assert not batches.is_null(pq.read_metadata(path), "a column of a later version")


@pytest.mark.parametrize("statistics", [True, False])
def test_a_file_that_tells_nothing_of_its_columns_is_read_whole(tmp_path: Path, statistics: bool) -> None:
    results = write(tmp_path, [stage()])
    records = [request("a", 0, [10, 20, 40], censored=[0, 1, 0]), request("b", 5, [15, 25], tokens=[1, 3])]
    pq.write_table(to_table(records), results.records / "stage-0000.parquet", write_statistics=statistics)
    run = open_run(tmp_path)
    found = summarize(run, run.stages[0])
    assert (found.evidence.gaps, found.evidence.gaps_censored, found.totals.tokens_out) == (3, 2, 7)


def test_lists_of_chunks_that_differ_in_length_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    results = write(tmp_path, [stage()])
    whole = to_table([request("a", 0, [10, 20, 40], tokens=[1, 2, 1]), request("b", 5, [15, 25], tokens=[1, 3])])
    torn = pa.array([[1, 2], [1, 3, 1]], whole.schema.field("chunk_tokens").type)
    place = whole.schema.get_field_index("chunk_tokens")
    pq.write_table(whole.set_column(place, "chunk_tokens", torn), results.records / "stage-0000.parquet")
    run = open_run(tmp_path)
    with pytest.raises(FmloadError, match="differ in length") as caught:
        summarize(run, run.stages[0])
    assert "records/" in (caught.value.hint or "")


def test_a_file_that_is_damaged_in_the_middle_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    results = write(tmp_path, [stage()], [request(f"r{i}", i, [i + 10, i + 20]) for i in range(500)])
    path = results.records / "stage-0000.parquet"
    content = bytearray(path.read_bytes())
    content[4:3000] = b"\xff" * 2996
    path.write_bytes(content)
    with pytest.raises(FmloadError) as caught:
        run = open_run(tmp_path)
        summarize(run, run.stages[0])
    assert str(path) in caught.value.message and "records/" in (caught.value.hint or "")


def test_records_that_change_between_both_readings_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_KEPT", 10)
    results = write(tmp_path, [stage()], [request(f"r{i}", i, [i + 10, i + 20]) for i in range(100)])
    run, taken = open_run(tmp_path), gathering.Gathering.take

    def take(self: gathering.Gathering, batch: Any) -> None:
        taken(self, batch)
        pq.write_table(to_table([request("other", 0, [10, 20])]), results.records / "stage-0000.parquet")

    monkeypatch.setattr(gathering.Gathering, "take", take)
    with pytest.raises(FmloadError, match="changed while they were read"):
        summarize(run, run.stages[0])


@settings(max_examples=60, deadline=None)
@given(own=WEIGHTED, others=WEIGHTED, limit=st.sampled_from([0, 5, 10**6]), other_limit=st.sampled_from([0, 5, 10**6]),
       percentile=st.sampled_from([0.1, 50.0, 90.0, 99.0, 100.0]))
def test_sought_percentiles_are_exact_of_samples_alone_and_together(
        own: list[tuple[float, int]], others: list[tuple[float, int]], limit: int, other_limit: int,
        percentile: float) -> None:
    first, second = Samples(limit), Samples(other_limit)
    for _ in added(first, own), added(second, others):
        pass
    both = first.with_others(second)
    bins = np.concatenate([one.bins_of([percentile]) for one in (first, second, both)])
    for one, pairs in ((first, own), (second, others)):
        one.seek(bins)
        added(one, pairs)
    for found, pairs in ((first, own), (second, others), (first.with_others(second), own + others)):
        ordered = np.sort(np.repeat([value for value, _ in pairs], [weight for _, weight in pairs]))
        assert found.percentiles((percentile,)) == {percentile: nearest_rank(ordered, percentile)}
        assert found.at_rank(rank_of(percentile, len(ordered))) == nearest_rank(ordered, percentile)


def added(to: Samples, pairs: list[tuple[float, int]]) -> None:
    for part in np.array_split(np.array(pairs), 3):
        to.add(np.ascontiguousarray(part[:, 0]), part[:, 1])


@given(arrays.arrays(np.float64, st.integers(0, 40), elements=st.one_of(
    st.floats(), st.integers(-300, 300).map(float), st.sampled_from([math.nan, -0.0, 0.0, 2.0**31, 2.0**32 - 1]))))
def test_the_smallest_form_of_numbers_gives_them_back_to_the_last_bit(values: Any) -> None:
    found = smallest(values).values(len(values))
    assert found.dtype == values.dtype
    assert np.array_equal(np.isnan(found), np.isnan(values))
    kept = ~np.isnan(values)
    assert found[kept].tobytes() == values[kept].tobytes()


@given(arrays.arrays(np.float64, 20, elements=st.floats(allow_infinity=True)),
       arrays.arrays(np.float64, 20, elements=st.one_of(st.floats(), st.integers(0, 99).map(float))))
def test_a_column_near_another_is_itself_to_the_last_bit(reference: Any, difference: Any) -> None:
    with np.errstate(all="ignore"):
        values = reference + difference
    found = smallest(values, "other", {"other": reference})
    back = found.values(len(values), reference if found.near else None)
    assert np.array_equal(back, values, equal_nan=True)


def test_small_whole_numbers_take_a_byte_and_equal_ones_none() -> None:
    assert smallest(np.arange(100.0)).stored.nbytes == 100
    assert smallest(np.full(100, np.nan)).stored.ndim == 0
    stamps = 1e12 + np.arange(100.0) * 1e7 + 0.0
    assert smallest(stamps + 7, "due", {"due": stamps}).stored.ndim == 0


@given(st.lists(st.lists(st.sampled_from(["ok", "a", "b", None]), min_size=1, max_size=5), min_size=1, max_size=6))
def test_texts_of_several_batches_compare_and_count_as_they_are(parts: list[list[str | None]]) -> None:
    kept = Table()
    for part in parts:
        kept.add({"text": Words.of(part)})
    flat = [text for part in parts for text in part]
    words = kept["text"]
    assert words.tolist() == flat
    assert (words == "ok").tolist() == [text == "ok" for text in flat]
    assert (words != None).tolist() == [text is not None for text in flat]  # noqa: E711
    assert list(words.counted().items()) == [(text, flat.count(text)) for text in dict.fromkeys(flat)]


def test_what_was_read_of_a_file_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_CHUNKS", 50_000)
    monkeypatch.setattr(batches, "FEWEST_ROWS", 1)
    path = tmp_path / "records.parquet"
    stamps = np.random.default_rng(1).integers(0, 2**62, (20, 50_000))  # 8 MB
    with pq.ParquetWriter(path, pa.schema([("chunk_ns", pa.list_(pa.int64()))])) as writer:
        for some in stamps:
            writer.write_table(pa.table({"chunk_ns": [some]}, writer.schema))
    held, before = [], pa.total_allocated_bytes()
    for rows in batches.made([path], ["chunk_ns"], lambda batch: batch.num_rows):
        held.append(pa.total_allocated_bytes() - before)
        assert rows == 1
    assert len(held) == 20 and max(held) < path.stat().st_size / 4


def items(broken_at: int) -> Iterator[int]:
    yield from range(broken_at)
    raise OSError("torn")


def test_what_is_read_ahead_comes_in_order_and_its_error_where_it_belongs() -> None:
    reading = batches.ahead(items(3))
    assert [next(reading) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="torn"):
        next(reading)
    assert next(batches.ahead(iter([7]))) == 7  # and may be left
