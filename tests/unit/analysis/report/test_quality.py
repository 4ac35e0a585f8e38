"""The section on quality: what a correct answer costs, why a price is missing, what to beware of in the judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handmade import request, stage, write

from fmload_analysis.document.document import Callout, Chart, Paragraph, Section, Table
from fmload_analysis.evaluate import judges
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import quality
from fmload_analysis.run import open_run

ENDS = {"low": 0.0, "high": 0.5, "method": "wilson"}


def group(endpoint: str, share: float | None, **scores: float) -> dict[str, Any]:
    correct = None if share is None else {"by": "exact_match", "share": share, "n": 4, **ENDS}
    return {"endpoint": endpoint, "prompt_set": "p", "answers": 4, "cut": 0, "prompts": 4, "judged": None,
            "correct": correct, "scores": {name: {"mean": mean, "n": 4, **ENDS} for name, mean in scores.items()}}


def evaluation(*groups: dict[str, Any]) -> dict[str, Any]:
    return {"schema": 1, "quality": list(groups), "judges": [], "agreement": [], "panel": None, "comparisons": [],
            "usd": None}


def judge(name: str, **figures: Any) -> dict[str, Any]:
    return {"judge": name, "questions": 20, "ok": 20, "garbage": 0, "failed": 0, "unasked": 0, "graded": 20,
            "usd": 1.0, "correct_share": 0.5, "order": None, **figures}


def panel(*members: dict[str, Any], kappa: float | None = 0.8) -> dict[str, Any]:
    known = [one["usd"] for one in members if one["usd"] is not None]
    return evaluation() | {"judges": list(members), "panel": {"n": 20, "observed": 0.9, "kappa": kappa},
                           "usd": sum(known) if known else None}


def rendered(root: Path, found: dict[str, Any], events: str = "", **prices: float | None) -> Section:
    """A run in which each endpoint serves 10 requests a second, at these USD an hour (None: not known)."""
    records = [request(f"{name}{k}", 100 * k, [100 * k + 50, 100 * k + 90], stage=number, endpoint=name)
               for number, name in enumerate(prices) for k in range(10)]
    spec = {"endpoints": [{"name": name} | ({} if usd is None else {"price": {"hourly": usd}})
                          for name, usd in prices.items()]}
    results = write(root, [stage(number, endpoint=name) for number, name in enumerate(prices)], records, spec=spec)
    results.evaluation_json.write_text(json.dumps(found))
    results.events_jsonl.write_text(events)
    section = quality.render(analyse_run(open_run(results.root)))
    assert section is not None
    return section


def test_an_endpoint_without_a_correct_answer_keeps_its_price_and_its_place_in_the_chart(tmp_path: Path) -> None:
    section = rendered(tmp_path, evaluation(group("a", 0.0), group("b", 0.5)), a=36.0, b=36.0)
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert [cell.text for cell in table.rows[0][5:7]] == ["$1.00", "∞ ($2.00 – ∞)"]
    chart, = (block for block in section.blocks if isinstance(block, Chart))
    assert [series.name for series in chart.series] == ["a", "b"]


def test_a_missing_price_is_told_with_its_reason(tmp_path: Path) -> None:
    section = rendered(tmp_path, evaluation(group("a", 0.5), group("b", 0.5), group("gone", 0.5)), a=36.0, b=None)
    told = [block.text for block in section.blocks if isinstance(block, Paragraph)]
    assert len([text for text in told if text.startswith("No price")]) == 2
    assert any("**b** (p): the run file names none" in text for text in told)
    assert any("**gone** (p): at none of its loads" in text for text in told)


def test_a_run_that_kept_only_a_part_of_the_answers_says_so(tmp_path: Path) -> None:
    section = rendered(tmp_path / "whole", evaluation(group("a", 0.5)), a=1.0)
    assert not [block for block in section.blocks if isinstance(block, Callout)]
    told = json.dumps({"kind": "answers_full", "at_ns": 1, "stage": None, "worker": "w0", "detail": "full"})
    section = rendered(tmp_path / "part", evaluation(group("a", 0.5)), events=told, a=1.0)
    assert [block.title for block in section.blocks if isinstance(block, Callout)] == ["Not all answers were kept"]


def test_scores_stand_in_lines_with_the_endpoints_side_by_side(tmp_path: Path) -> None:
    found = evaluation(group("a", 0.5, token_f1=0.25, exact_match=0.5, mine=1.0), group("b", 0.5, exact_match=0.75))
    table = next(block for block in rendered(tmp_path, found, a=1.0, b=1.0).blocks
                 if isinstance(block, Table) and "Scores" in block.caption)
    assert [column.label for column in table.columns] == ["Prompts", "Score", "n", "a", "b"]
    assert [[row[1].text, row[3].value, row[4].value] for row in table.rows] == [
        ["Exact match", 0.5, 0.75], ["Token F1", 0.25, None], ["mine", 1.0, None]]


def test_one_endpoint_is_called_right_more_often_only_where_the_interval_leaves_out_nothing(tmp_path: Path) -> None:
    def difference(value: float, low: float, high: float) -> dict[str, Any]:
        return {"prompt_set": "p", "first": "a", "second": "b", "n": 40, "difference": value,
                "interval": {"low": low, "high": high}}

    found = evaluation(group("a", 0.5), group("b", 0.5)) | {"differences": [
        difference(-0.25, -0.4, -0.1), difference(0.3, 0.1, 0.5), difference(0.1, -0.1, 0.3)]}
    table = next(block for block in rendered(tmp_path, found, a=1.0, b=1.0).blocks
                 if isinstance(block, Table) and "more often" in block.caption)
    assert [[row[4].text, row[5].text] for row in table.rows] == [
        ["−25 (−40 to −10)", "b is right more often"], ["+30 (+10 to +50)", "a is right more often"],
        ["+10 (−10 to +30)", "no difference shown"]]


def test_what_the_judges_cost_names_those_whose_price_is_unknown() -> None:
    assert judges.cost_told(panel(judge("a"), judge("b"))) == "the replies cost $2.00"
    assert judges.cost_told(panel(judge("a"), judge("b", usd=None), judge("c", usd=None))) == (
        "the replies cost $1.00, without those of b and c, whose token prices are unknown")
    assert "unknown: no token prices of a" in judges.cost_told(panel(judge("a", usd=None)))
    assert judges.cost_told(panel(judge("a", usd=None, ok=0, failed=20))) == "no replies to pay for"


def titles(found: dict[str, Any]) -> list[str]:
    return [callout.title for callout in judges.warnings(found) if isinstance(callout, Callout)]


def test_a_panel_that_hardly_agrees_is_told() -> None:
    assert titles(panel(judge("a"), judge("b"), kappa=0.4)) == ["Weak agreement"]
    assert titles(panel(judge("a"), judge("b"), kappa=0.41)) == []
    assert titles(panel(judge("a"), judge("b"), kappa=None)) == []


def test_a_judge_with_one_word_for_all_answers_is_told_where_others_tell_them_apart() -> None:
    assert titles(panel(judge("a", correct_share=1.0), judge("b"))) == ["One-sided judge"]
    assert titles(panel(judge("a", correct_share=1.0), judge("b", correct_share=1.0))) == []
    assert titles(panel(judge("a", correct_share=0.0, graded=3), judge("b"))) == []


def test_missing_verdicts_are_told_by_what_is_missing_alone() -> None:
    callout, = judges.warnings(panel(judge("a", garbage=1500, questions=2000, unasked=2), judge("b")))
    assert callout.text == "**a** gave no verdict on 1,502 of 2,000 questions: 1,500 replies without one, 2 not asked."
