"""What the figures of a published row are called on a page, and how their values are written there."""

from __future__ import annotations

from fmload_analysis.document.formats import Format, duration, of_unit, significant, usd

METRICS = {"ttft": "TTFT", "tpot": "TPOT", "icl": "ICL", "e2e": "E2E", "itl_with_ttft": "ITL", "input_tokens": "input",
           "output_tokens": "output", "request_tokens_per_s": "speed of a request", "user_tokens_per_s": "user speed",
           "normalized_tpot": "E2E per token", "tpot_with_ttft": "E2E per token", "chunk_tpot": "TPOT"}
LATENCIES = ("ttft", "tpot", "icl", "e2e", "itl_with_ttft", "normalized_tpot", "tpot_with_ttft", "chunk_tpot")
_SINGLE = {
    "concurrency": "concurrency", "offered_per_s": "offered requests/s", "achieved_concurrency": "requests in flight",
    "transactions_per_minute": "requests a minute", "requests": "requests", "completed": "completed requests",
    "errors": "failed requests", "error_rate": "error rate", "duration_s": "duration",
    "first_to_last_s": "first request to last answer", "goodput_per_s": "goodput a second",
    "output_tokens_per_s": "output tokens/s", "input_tokens_per_s": "input tokens/s",
    "total_tokens_per_s": "total tokens/s", "output_tokens": "output tokens", "input_tokens": "input tokens",
    "price_per_transaction": "price of a request", "price_per_10k_transactions": "price of 10,000 requests",
    "price_per_1m_output_tokens": "price of a million output tokens", "price_per_token": "price of a token",
    "usd_per_hour": "price an hour", "cost_usd": "cost", "total_cost_usd": "total cost"}
PLURALS = ("achieved_concurrency", "offered_per_s", "transactions_per_minute", "requests", "completed",
           "errors", "output_tokens_per_s", "input_tokens_per_s", "total_tokens_per_s", "output_tokens", "input_tokens")
_PRICES = ("price_", "usd_", "cost_", "total_cost")


def is_price(figure: str) -> bool:
    """Whether the figure is in dollars."""
    return figure.startswith(_PRICES)


def label(figure: str) -> str:
    """`TTFT p50`, `price of a request`; its own name where it has no other."""
    metric, _, stat = figure.rpartition("_")
    if metric in METRICS and stat != "s":
        return f"{METRICS[metric]}{' tokens' if metric.endswith('put_tokens') else ''} {stat}"
    return _SINGLE.get(figure, figure)


def shown(figure: str, value: float) -> str:
    """The value with its unit: 53.2 ms, $0.00171, 4.0 %, 423.1."""
    return _form(figure)(value)


def exact(figure: str, value: float) -> str:
    """As `shown`, in six digits, for values that are held against each other: 53.2104 ms."""
    metric, _, stat = figure.rpartition("_")
    if metric in LATENCIES and stat != "count":
        return f"{value * 1e3:.6g} ms" if abs(value) < 1 else f"{value:.6g} s"
    return f"${value:.6g}" if is_price(figure) else f"{value:.6g}{' s' if figure == 'duration_s' else ''}"


def _form(figure: str) -> Format:
    metric, _, stat = figure.rpartition("_")
    if metric in LATENCIES and stat != "count":
        return duration
    if is_price(figure):
        return usd
    return of_unit({"duration_s": "s", "first_to_last_s": "s", "error_rate": "share"}.get(figure, ""), _plain)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value - round(value)) <= 1e-9 * abs(value) else significant(value, 4)
