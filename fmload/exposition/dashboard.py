"""The Grafana dashboard of our metrics: `python -m fmload.exposition.dashboard` writes configs/grafana-dashboard.json.

Built with Grafana's own typed builders (grafana-foundation-sdk, of the extra `dev`), so that it follows their schema.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "configs" / "grafana-dashboard.json"
WIDTH, HEIGHT = 12, 8  # of a panel, in units of Grafana's grid of 24
_HERE = '{endpoint=~"$endpoint"}'
_RATE = "$__rate_interval"


def _quantiles(metric: str) -> dict[str, str]:
    """p50, p95 and p99 by endpoint: legend → PromQL."""
    buckets = f"sum by (le, endpoint) (rate({metric}_bucket{_HERE}[{_RATE}]))"
    return {f"{{{{endpoint}}}} p{q * 100:.0f}": f"histogram_quantile({q}, {buckets})" for q in (0.5, 0.95, 0.99)}


# title: unit, {legend: PromQL}
PANELS: dict[str, tuple[str, dict[str, str]]] = {
    "Requests in flight": ("short", {
        "in flight": "sum(fmload_requests_in_flight)",
        "offered {{endpoint}}": f"fmload_offered_concurrency{_HERE}"}),
    "Output tokens": ("short", {
        "{{endpoint}} tokens/s": f"sum by (endpoint) (rate(fmload_output_tokens_total{_HERE}[{_RATE}]))"}),
    "Requests and goodput": ("reqps", {
        "{{endpoint}} succeeded":
            f'sum by (endpoint) (rate(fmload_requests_total{{endpoint=~"$endpoint",outcome="ok"}}[{_RATE}]))',
        "{{endpoint}} good": f"sum by (endpoint) (rate(fmload_good_requests_total{_HERE}[{_RATE}]))"}),
    "Failures": ("reqps", {
        "{{endpoint}} {{outcome}}": "sum by (endpoint, outcome) (rate(fmload_requests_total"
                                    f'{{endpoint=~"$endpoint",outcome!~"ok|censored|cancelled"}}[{_RATE}]))'}),
    "TTFT": ("s", _quantiles("fmload_time_to_first_token_seconds")),
    "ITL": ("s", _quantiles("fmload_inter_token_latency_seconds")),
    "ICL": ("s", _quantiles("fmload_inter_chunk_latency_seconds")),
    "TPOT": ("s", _quantiles("fmload_time_per_output_token_seconds")),
    "E2E latency": ("s", _quantiles("fmload_e2e_latency_seconds")),
    "CPU of the workers": ("percentunit", {"{{worker}}": "fmload_worker_cpu_ratio"}),
    "Is the client the limit?": ("s", {
        "loop lag p99": "max(fmload_worker_loop_lag_p99_seconds)",
        "stamp lag p99": "max(fmload_worker_stamp_lag_p99_seconds)",
        "send lateness p99": "max(fmload_worker_send_lateness_p99_seconds)"}),
}
STATS: dict[str, tuple[str, str]] = {  # title: PromQL, legend
    "Phase": ("fmload_run_phase == 1", "{{phase}}"),
    "Stages done": ("fmload_stages_done", ""),
    "Stages planned": ("fmload_stages_planned", ""),
    "On now": ("fmload_stage_info == 1", "{{endpoint}} · {{load}}"),
}


def built() -> Any:
    """The dashboard as the SDK's model."""
    from grafana_foundation_sdk.builders import dashboard
    from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

    board = (dashboard.Dashboard("fmload").uid("fmload").tags(["fmload", "load testing"]).refresh("5s")
             .time("now-15m", "now").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
             .description("A load test while it runs. What is reported comes from the records, not from here."))
    for variable in _variables():
        board = board.with_variable(variable)
    for title, (query, legend) in STATS.items():
        board = board.with_panel(_stat(title, query, legend))
    for title, (unit, queries) in PANELS.items():
        board = board.with_panel(_lines(title, unit, queries))
    return board.build()


def _variables() -> list[Any]:
    from grafana_foundation_sdk.builders import dashboard
    from grafana_foundation_sdk.models.dashboard import VariableRefresh

    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    endpoint = (dashboard.QueryVariable("endpoint").label("Endpoint").datasource(_source())
                .query("label_values(fmload_requests_total, endpoint)").multi(True).include_all(True)
                .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED))
    return [source, endpoint]


def _source() -> Any:
    from grafana_foundation_sdk.models.dashboard import DataSourceRef

    return DataSourceRef(type_val="prometheus", uid="${datasource}")


def _stat(title: str, query: str, legend: str) -> Any:
    from grafana_foundation_sdk.builders import common, prometheus, stat
    from grafana_foundation_sdk.models.common import BigValueTextMode

    named = BigValueTextMode.NAME if legend else BigValueTextMode.VALUE
    return (stat.Panel().title(title).datasource(_source()).span(6).height(4).text_mode(named)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .with_target(prometheus.Dataquery().ref_id("A").expr(query).legend_format(legend).instant()))


def _lines(title: str, unit: str, queries: dict[str, str]) -> Any:
    from grafana_foundation_sdk.builders import common, prometheus, timeseries
    from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, SortOrder, TooltipDisplayMode

    legends = (common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
               .placement(LegendPlacement.BOTTOM).calcs(["lastNotNull"]))
    panel = (timeseries.Panel().title(title).datasource(_source()).unit(unit).min(0).span(WIDTH).height(HEIGHT)
             .line_width(2).fill_opacity(8).legend(legends)
             .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)))
    for place, (legend, query) in enumerate(queries.items()):
        target = prometheus.Dataquery().ref_id("ABCDEF"[place]).expr(query).legend_format(legend).range()
        panel = panel.with_target(target)
    return panel


def text() -> str:
    """The file's text."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    return json.dumps(built(), cls=JSONEncoder, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
