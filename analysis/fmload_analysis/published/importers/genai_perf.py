"""GenAI-Perf's `profile_export_genai_perf.json` and `.csv`: AIPerf's forerunner, with the same names.

Its inter-token latency is `(E2E − TTFT) / (tokens − 1)` of each request: our TPOT.
"""

from __future__ import annotations

from fmload_analysis.published.importers import triton_exports
from fmload_analysis.published.importers.aiperf import json_row
from fmload_analysis.published.rows.published import Published
from fmload_analysis.published.rows.reading import Source

NOTES = ("its inter-token latency is one value a request: our TPOT",
         "throughput is over its measurement windows")
_METRICS = {
    "time_to_first_token": "ttft", "inter_token_latency": "tpot", "request_latency": "e2e",
    "output_sequence_length": "output_tokens", "input_sequence_length": "input_tokens",
    "output_token_throughput_per_user": "user_tokens_per_s"}
_SINGLE = {"output_token_throughput": "output_tokens_per_s", "request_count": "completed",
           "request_goodput": "goodput_per_s"}


class GenAIPerf:
    """Reads GenAI-Perf's JSON and CSV."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the Perf Analyzer's arguments, or the CSV's heads without AIPerf's duration."""
        if source.is_json:
            return "request_throughput" in source.first and triton_exports.is_genai_perf(source.first)
        return triton_exports.is_csv(source) and "Benchmark Duration" not in source.text

    @staticmethod
    def read(source: Source) -> Published:
        """The file's one row."""
        if source.is_json:
            rows = [json_row(content, str(source.path)) for content in source.objects]
        else:
            rows = [triton_exports.csv_row(source, _METRICS, _SINGLE)]
        return Published("genai-perf", source.path, rows, NOTES, loose=True)
