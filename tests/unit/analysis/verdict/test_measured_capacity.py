"""A capacity is bracketed when a higher load did no better; else that is told, and no month is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import cost
from fmload_analysis.run import open_run
from fmload_analysis.verdict.capacity import capacities
from tests.simulated import INF2, sweep


def analysed(root: Path, levels: tuple[int, ...], **spec: Any) -> Any:
    sweep(root, levels, servers=(INF2,), sizes={"short": (60, 12)}, window_s=20, objectives={}, **spec)
    return analyse_run(open_run(root))


def test_the_highest_load_that_was_tried_brackets_nothing(tmp_path: Path) -> None:
    found = capacities(analysed(tmp_path, (1, 2, 4)).results)["inf2-tgi", "short"]
    assert not found.bracketed
    assert found.how == "not bracketed: 4 users is the highest load that was tried"


def test_a_higher_load_that_gives_no_more_brackets_the_capacity(tmp_path: Path) -> None:
    found = capacities(analysed(tmp_path, (4, 8, 64)).results)["inf2-tgi", "short"]
    assert found.bracketed is (found.result.summary.stage.concurrency != 64)


def months(analysis: Any) -> list[str]:
    section = cost.render(analysis)
    assert section is not None
    table = next(block for block in section.blocks if "A month" in getattr(block, "caption", ""))
    return [cell.text for cell in table.rows[0]]


def test_no_month_of_many_instances_is_made_of_a_capacity_that_is_not_bracketed(tmp_path: Path) -> None:
    row = months(analysed(tmp_path, (1, 2, 4)))
    assert row[-1].startswith("not bracketed")
    assert row[-2] == "n/a"  # 10,000 requests a minute
    assert row[3].endswith("(1)")  # one a minute is within what was measured
