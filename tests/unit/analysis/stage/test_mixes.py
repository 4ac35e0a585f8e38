"""Components of a mix in the analysis: their shares, and their endpoint's price, which is paid once."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmload.model.session import Session
from fmload.results import sessions as session_files
from fmload_analysis.document.document import Table
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import cost, mix
from fmload_analysis.run import open_run
from fmload_analysis.verdict.recommend import recommend
from tests import handmade


def test_components_share_the_hours_of_their_endpoint_and_the_sum_holds_them_once(tmp_path: Path) -> None:
    parts = [{"component": place, "share": share, "shares": [0.75, 0.25], "first": 0, "rate": None}
             for place, share in enumerate((0.75, 0.25))]
    stages = [handmade.stage(place, step=0, prompt_set="pq"[place], mix=part) for place, part in enumerate(parts)]
    requests = [handmade.request(f"a{i}", 100 * i, [100 * i + 20, 100 * i + 60], stage=0) for i in range(9)]
    requests += [handmade.request(f"b{i}", 300 * i, [300 * i + 20, 300 * i + 60], stage=1) for i in range(3)]
    spec = {"endpoints": [{"name": "a", "price": {"hourly": 4.0}}]}
    handmade.write(tmp_path, stages, requests, spec=spec)
    analysis = analyse_run(open_run(tmp_path))
    first, second = analysis.results
    costs = cost.render(analysis)
    assert costs is not None
    assert not [block for block in costs.blocks if isinstance(block, Table) and "A month" in block.caption]
    assert first.totals.usd_per_hour == pytest.approx(3.0)  # nine of twelve requests of one length
    assert second.totals.usd_per_hour == pytest.approx(1.0)
    assert "The price holds inside its mix alone" in recommend([replace(first, checks=())]).sentence
    section = mix.render(analysis)
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    whole = [cell.text for cell in table.rows[-1]]
    assert whole[1] == "the whole mix" and "$4.00" in whole and "12" in whole
    assert "75 % / 75 %" in [cell.text for cell in table.rows[0]]
    checks = {check.name: check for check in first.checks}
    assert checks["share of the mix"].figures == {"asked": 0.75, "share": 0.75, "allowed": pytest.approx(0.4125)}


def test_a_component_of_sessions_is_compared_by_the_sessions_that_began_and_not_by_their_requests(
        tmp_path: Path) -> None:
    """A session of four requests and a request alone, by turns: half and half, as asked."""
    parts = [{"component": place, "share": 0.5, "shares": [0.5, 0.5], "first": 0, "rate": 10.0} for place in (0, 1)]
    rate = {"kind": "rate", "value": 5.0, "arrivals": {"process": "constant"}}
    stages = [handmade.stage(place, step=0, prompt_set="pq"[place], mix=part, window_ms=10_000,
                             load={**rate, "sessions": not place}) for place, part in enumerate(parts)]
    names = [f"s{number}" for number in range(40)]
    requests = [handmade.request(f"{name}.{turn}", 200 * place + 40 * turn, [200 * place + 40 * turn + 30], stage=0,
                                 detail=json.dumps({"scenario": {"session": name, "of": "p", "turn": turn,
                                                                 "step": turn}}))
                for place, name in enumerate(names) for turn in range(4)]
    requests += [handmade.request(f"b{place}", 200 * place + 100, [200 * place + 130], stage=1) for place in range(40)]
    results = handmade.write(tmp_path, stages, requests)
    begun = [handmade.BASE_NS + 200 * handmade.MS * place for place in range(40)]
    rows = [asdict(Session(name, "p", "", "w0", 0, "a", "p", at, at + 150 * handmade.MS, "finished", 4, 0))
            for name, at in zip(names, begun, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows, schema=session_files.SCHEMA), results.sessions_parquet)
    analysis = analyse_run(open_run(tmp_path))
    for result in analysis.results:
        check = next(one for one in result.checks if one.name == "share of the mix")
        assert (check.result, check.figures["share"]) == ("PASS", 0.5)
        assert check.sentence.startswith("40 of 80 arrivals (requests and whole sessions) of the mix")
    section = mix.render(analysis)
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert [next(cell.text for cell in row if "/" in cell.text and "%" in cell.text) for row in table.rows[:2]] == [
        "50 % / 50 %"] * 2
