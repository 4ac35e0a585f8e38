"""InferenceX's aggregates (`agg_….json`): vLLM's figures in seconds, throughput a GPU, one object or an array of them.

Its interactivity is 1 ÷ TPOT, tokens a second of one user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fmload_analysis.published.rows.figures import JSON_STATS, Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source

NOTES = ("throughput is per GPU", "interactivity is 1 ÷ TPOT")
_METRICS = {"ttft": "ttft", "tpot": "tpot", "itl": "icl", "e2el": "e2e", "intvty": "user_tokens_per_s"}
_STAT = re.compile(r"(mean|median|std|p[\d.]+)_(ttft|tpot|itl|e2el|intvty)")


class InferenceX:
    """Reads InferenceX's aggregated results."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the hardware and the throughput a GPU."""
        return any("tput_per_gpu" in content for content in source.objects)

    @staticmethod
    def read(source: Source) -> Published:
        """One row an object."""
        rows = [_row(content, f"{source.path}, object {at}") for at, content in enumerate(source.objects, 1)]
        return Published("inferencex", source.path, rows, NOTES)


def _row(content: Mapping[str, Any], where: str) -> Row:
    figures = Figures(where)
    figures.take("concurrency", content, "conc")
    figures.take("accelerators", content, "tp")
    figures.take("output_tokens_per_s_per_accelerator", content, "output_tput_per_gpu")
    figures.take("input_tokens_per_s_per_accelerator", content, "input_tput_per_gpu")
    figures.take("total_tokens_per_s_per_accelerator", content, "tput_per_gpu")
    for name, ours in (("isl", "input_tokens_mean"), ("osl", "output_tokens_mean")):
        figures.take(ours, content, name)
    for key in content:
        found = _STAT.fullmatch(key)
        if found and not (found[2] == "intvty" and found[1] in ("mean", "std")):
            figures.take(f"{_METRICS[found[2]]}_{JSON_STATS.get(found[1], found[1])}", content, key)
    _interactivity(figures)
    parts = [str(content[name]) for name in ("hw", "framework", "precision") if content.get(name)]
    return figures.row(" ".join((figures.load(), *parts)), endpoint=str(content.get("model") or "") or None,
                       instance_type=str(content.get("hw") or "") or None)


def _interactivity(figures: Figures) -> None:
    """Its p99 is the speed at the p99 of TPOT, the slowest: only the median is a percentile of speeds as well."""
    for name in [name for name in figures.values if re.fullmatch(r"user_tokens_per_s_p(?!50).*", name)]:
        figures.values.pop(name)
