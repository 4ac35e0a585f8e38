"""The fast path of the live view against the definitions, on records of every kind."""

from __future__ import annotations

from array import array
from dataclasses import replace
from itertools import accumulate

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from fmload.metrics.definitions import METRICS, NS, gaps, meets, of_level
from fmload.metrics.live import is_good, request_metrics_ns, scaled
from fmload.metrics.per_record import e2e_with_checks_ns
from fmload.model.record import COLUMNS, Record, pack, unpack
from fmload.statistics.observation import columns_of

instants = st.integers(0, 10**11)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Of answers of no chunk to many, late reads, several choices, counts that are told or not."""
    count = draw(st.integers(0, 8))
    steps = draw(st.lists(st.integers(0, 10**9), min_size=count, max_size=count))
    due = draw(instants)
    sent = due + draw(instants)
    stamps = list(accumulate(steps, initial=sent))[1:]
    tokens = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    checks = draw(st.none() | st.floats(0, 2))
    return Record(
        "id", "w", 0, "e", "p", "p-1", due, send_ns=draw(st.sampled_from([sent, sent, sent, None])),
        first_token_ns=stamps[0] if stamps else None, last_token_ns=stamps[-1] if stamps else None,
        first_answer_ns=draw(st.sampled_from([*stamps, None])), end_ns=sent + 10**12, chunk_ns=array("q", stamps),
        chunk_tokens=array("i", tokens), chunk_tokens_known=draw(st.booleans()), streamed=draw(st.booleans()),
        chunk_censored=array("b", draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))),
        choices=draw(st.sampled_from([1, 1, 2])), output_tokens=draw(st.none() | st.integers(0, 40)),
        reasoning_tokens=draw(st.none() | st.integers(0, 30)),
        input_tokens=draw(st.none() | st.integers(0, 9)), prompt_tokens=draw(st.none() | st.integers(0, 9)),
        outcome=draw(st.sampled_from(["ok", "ok", "http_5xx"])),
        detail=None if checks is None else orjson.dumps({"safe_check": {"before": {"s": checks}}}).decode())


@given(records())
def test_every_request_metric_is_that_of_its_definition(record: Record) -> None:
    columns = columns_of([(record, 0)])
    for metric in of_level("request"):
        if metric.name == "e2e_with_checks":  # columns of a run that goes on have no safety checks
            continue
        assert metric.live is not None
        fast, defined = metric.live(record), float(metric.function(columns)[0])
        if fast is None:
            assert np.isnan(defined), metric.name
        else:
            assert abs(fast - defined * (1 if metric.unit == "tokens" else NS)) <= 1 + 1e-6 * abs(fast), metric.name


@given(records())
def test_gaps_are_those_of_their_definition(record: Record) -> None:
    found = gaps(columns_of([(record, 0)]))
    fast = request_metrics_ns(record)
    for name in ("itl", "icl"):
        values, weights = METRICS[name].function(found)
        kept = found.known & ~np.isnan(values)
        defined = np.repeat(values[kept], weights[kept]) * NS
        if record.send_ns is None and name not in fast:
            continue
        assert np.allclose(fast.get(name, np.array([])), defined, atol=1), name


@given(records(), st.dictionaries(st.sampled_from(["ttft", "tpot", "e2e", "ttfa", "ttft_scheduled", "output_tokens"]),
                                  st.floats(0, 40)))
def test_a_request_is_good_live_where_it_is_good_in_the_report(record: Record, limits: dict[str, float]) -> None:
    columns = columns_of([(record, 0)])
    values = {name: METRICS[name].function(columns) for name in limits}
    near = any(abs(float(values[name][0]) - limit) < 2e-9 for name, limit in limits.items())
    assert near or is_good(record, scaled(limits)) == (record.outcome == "ok" and bool(meets(values, limits, 1)[0]))


def test_the_fast_form_of_e2e_with_checks_adds_both_checks() -> None:
    record = Record("id", "w", 0, "e", "p", "p-1", 0, send_ns=0, last_token_ns=10**9,
                    detail='{"safe_check": {"before": {"s": 0.5}, "after": {"s": 0.25}}}')
    assert e2e_with_checks_ns(record) == 1_750_000_000
    assert e2e_with_checks_ns(replace(record, detail=None)) is None


def test_a_record_of_schema_1_knows_its_chunks_where_they_add_up_to_the_answer() -> None:
    def old(tokens: list[int], output: int) -> Record:
        new = Record("id", "w", 0, "e", "p", "p-1", 0, chunk_ns=array("q", range(len(tokens))),
                     chunk_tokens=array("i", tokens), chunk_censored=array("b", [0] * len(tokens)),
                     output_tokens=output)
        return unpack(_of_schema_1(pack(new)))

    assert old([1, 1, 1], 3).chunk_tokens_known
    assert old([4, 4, 2], 10).chunk_tokens_known
    assert not old([1, 1, 1], 12).chunk_tokens_known
    one_each = old([1, 1, 38], 3)  # a total that was taken for the growth of the last chunk
    assert (one_each.chunk_tokens_known, list(one_each.chunk_tokens)) == (True, [1, 1, 1])


def _of_schema_1(packed: bytes) -> bytes:
    import msgpack

    return msgpack.packb(msgpack.unpackb(packed)[:COLUMNS.index("chunk_tokens_known")])  # type: ignore[no-any-return]
