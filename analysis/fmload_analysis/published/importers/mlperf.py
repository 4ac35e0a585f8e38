"""MLPerf LoadGen's `mlperf_log_summary.txt`: nanoseconds, percentiles by nearest rank, TTFT and TPOT for tokens.

Latencies are from the scheduled instant.
"""

from __future__ import annotations

import re

from fmload.base.errors import FmloadError
from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, cell_number

NOTES = ("latencies are from the scheduled instant, by nearest rank",)
_LINE = re.compile(r"^\s*(?P<name>[^:=]+?)\s*[:=]\s*(?P<value>.+?)\s*$", re.MULTILINE)
_PERCENTILE = re.compile(r"(?P<p>[\d.]+)0* percentile (?P<what>latency|first token latency|time to output token)")
_METRICS = {"latency": "e2e", "first token latency": "ttft", "time to output token": "tpot"}
_MEAN = {"Mean latency (ns)": "e2e_mean", "Min latency (ns)": "e2e_min", "Max latency (ns)": "e2e_max",
         "Mean First Token latency (ns)": "ttft_mean", "Min First Token latency (ns)": "ttft_min",
         "Max First Token latency (ns)": "ttft_max", "Mean Time to Output Token (ns)": "tpot_mean",
         "Min Time to Output Token (ns)": "tpot_min", "Max Time to Output Token (ns)": "tpot_max",
         "Mean Time per Output Token (ns)": "tpot_mean"}
_RATES = {"Samples per second": "transactions_per_minute", "Completed samples per second": "transactions_per_minute",
          "Completed tokens per second": "output_tokens_per_s", "Tokens per second": "output_tokens_per_s",
          "Scheduled samples per second": "sent_per_s", "target_qps": "offered_per_s"}


class MLPerf:
    """Reads LoadGen's summary."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By its headline."""
        return "MLPerf Results Summary" in source.text[:2000]

    @staticmethod
    def read(source: Source) -> Published:
        """The summary's one row. Raises FmloadError for another kind of file."""
        if not MLPerf.recognises(source):
            raise FmloadError(f"{source.path} is no summary of LoadGen: it has no line 'MLPerf Results Summary'",
                              hint="give mlperf_log_summary.txt")
        return Published("mlperf", source.path, [_row(source)], NOTES)


def _row(source: Source) -> Row:
    figures = Figures(str(source.path))
    lines = {found["name"]: found["value"] for found in _LINE.finditer(source.text)}
    for name, value in lines.items():
        percentile = _PERCENTILE.search(name)
        if percentile:
            figures.put(f"{_METRICS[percentile['what']]}_p{float(percentile['p']):g}", cell_number(value), name, 1e-9)
        elif name in _MEAN:
            figures.put(_MEAN[name], cell_number(value), name, 1e-9)
        elif name in _RATES:
            figures.put(_RATES[name], cell_number(value), name, 60.0 if _RATES[name].startswith("trans") else 1.0)
    scenario = lines.get("Scenario")
    if scenario != "Server":
        figures.values.pop("offered_per_s", None)
    return figures.row(f"{scenario}" if scenario else None, endpoint=lines.get("SUT name"))
