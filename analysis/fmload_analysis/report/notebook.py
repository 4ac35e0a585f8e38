"""What a notebook shows of a run: the figures of every stage and one chart."""

from __future__ import annotations

import io
from html import escape

from fmload.plugins import SECTIONS
from fmload_analysis.document import formats, plots
from fmload_analysis.document.document import Chart
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.table import StageResult

_FIGURES = (("TTFT p50", "ttft_p50", "s"), ("TPOT p50", "tpot_p50", "s"), ("E2E p50", "e2e_p50", "s"),
            ("requests/s", "requests_per_s", ""), ("tokens/s", "output_tokens_per_s", ""))
_PRICE = "$/10k"


def headline_html(analysis: Analysis) -> str:
    """A table, one row a stage; every text from outside is escaped."""
    priced = [_PRICE] if any(result.cost.price_per_10k_transactions is not None for result in analysis.results) else []
    heads = ["endpoint", "prompts", "load", *(title for title, _, _ in _FIGURES), "errors", *priced, "audit"]
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _row(result, bool(priced))) + "</tr>"
                   for result in analysis.results)
    return "<table><thead><tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + f"</tr></thead>{rows}</table>"


def _row(result: StageResult, priced: bool) -> list[str]:
    figures = [_figure(result.value(name), unit) for _, name, unit in _FIGURES]
    errors = result.value("error_rate")
    return [result.endpoint, result.prompt_set, result.load, *figures,
            formats.text(errors, formats.percent),
            *([formats.text(result.cost.price_per_10k_transactions, formats.usd)] if priced else []), result.audit]


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "n/a"
    return f"{formats.significant(value * 1000)} ms" if unit == "s" else formats.significant(value)


def chart_svg(analysis: Analysis) -> str:
    """The first chart of load against latency as SVG; empty where there is none."""
    section = SECTIONS.load("load_latency")(analysis)
    charts = [block for block in section.blocks if isinstance(block, Chart)] if section else []
    if not charts:
        return ""
    picture = io.StringIO()
    plots.draw(charts[0]).savefig(picture, format="svg", bbox_inches="tight")
    return picture.getvalue()[picture.getvalue().index("<svg"):]
