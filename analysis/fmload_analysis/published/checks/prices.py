"""Prices of one row: what they imply an hour or a token costs, against the price table and its date."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from fmload.pricing.table import PriceTable
from fmload_analysis.audit.facts import FAIL, PASS, WARN
from fmload_analysis.published.checks.relation import Relation, product, told
from fmload_analysis.published.rows.published import Correction, Published, Row
from fmload_analysis.verdict.table import Check

PRICE_TOLERANCE = 0.01
_MOVED = 2.0  # a list price has not moved by more than this factor between two dates
_LARGEST_USD = 1e6  # an hour of no instance costs more
_MONTHS_APART = 183

COST = product("cost = hourly price × duration", 8, {"usd_per_hour": 1, "duration_s": 1, "cost_usd": -1}, 1 / 3600)


def _per_token_off(row: Row) -> float | None:
    price, token, given, made = (row.figures.get(name) for name in (
        "price_per_transaction", "price_per_token", "input_tokens_mean", "output_tokens_mean"))
    if not price or not token or given is None or made is None:
        return None
    return token * (given + made) / price - 1


PER_TOKEN = Relation(
    "price per token × tokens = price of a transaction", 8,
    lambda row: () if _per_token_off(row) is None else (
        "price_per_token", "price_per_transaction", "input_tokens_mean", "output_tokens_mean"),
    _per_token_off, lambda row: f"price per token × tokens is {_per_token_off(row) or 0.0:+.1%} from the price of a "
                                "transaction.", 0.02, 0.1)


def _two_hourly_off(row: Row) -> float | None:
    values = [row.value(name) for name in ("price_per_transaction", "transactions_per_minute",
                                           "price_per_1m_output_tokens", "output_tokens_per_s")]
    if any(not value for value in values):
        return None
    price, per_minute, million, per_second = (value or 0.0 for value in values)
    return price * 60 * per_minute / (million / 1e6 * per_second * 3600) - 1


TWO_PRICES = Relation(
    "prices of transactions and tokens imply one hourly price", 8,
    lambda row: told(row, "price_per_transaction", "transactions_per_minute", "price_per_1m_output_tokens",
                     "output_tokens_per_s"), _two_hourly_off,
    lambda row: f"They differ by {_two_hourly_off(row) or 0.0:+.1%}.", 0.02, 0.1)

TOTAL_COST = product("sum of the costs = total cost", 8, {"cost_rows_usd": 1, "total_cost_usd": -1})

RELATIONS = (COST, PER_TOKEN, TWO_PRICES, TOTAL_COST)


def implied_hourly(row: Row) -> float | None:
    """USD per hour from price per transaction × transactions, from price per million tokens × throughput, or from cost
    ÷ duration."""
    price, per_minute = row.value("price_per_transaction"), row.value("transactions_per_minute")
    if price and per_minute:
        return price * 60 * per_minute
    per_million, per_second = row.value("price_per_1m_output_tokens"), row.value("output_tokens_per_s")
    if per_million and per_second:
        return per_million / 1e6 * per_second * 3600
    cost, seconds = row.value("cost_usd"), row.value("duration_s")
    return cost / seconds * 3600 if cost and seconds else None


def price_check(row: Row, published: Published, table: PriceTable) -> tuple[Check, list[Correction]] | None:
    """The price of the tokens for a model of the table; the implied hourly price for anything else."""
    return token_price(row, table) or hourly_price(row, table)


def token_price(row: Row, table: PriceTable) -> tuple[Check, list[Correction]] | None:
    """What a transaction's tokens cost by the table, for rows whose instance type is a model that is sold by token."""
    quote = table.tokens(row.instance_type) if row.instance_type else None
    price, given, made = (row.value(name) for name in (
        "price_per_transaction", "input_tokens_mean", "output_tokens_mean"))
    if quote is None or not price or given is None or made is None:
        return None
    expected = (given * quote.input_per_1m + made * quote.output_per_1m) / 1e6
    if expected <= 0 or price < 0:
        return None
    result = _graded(price, expected, row.date, quote.date, rounding=_of_whole_tokens(row, quote.input_per_1m,
                                                                                     quote.output_per_1m, expected))
    return Check(8, "price arithmetic", result,
                 f"{given:g} tokens in and {made:g} out cost ${expected:.4g} by the table of {quote.date} "
                 f"(${quote.input_per_1m:g} and ${quote.output_per_1m:g} a million); ${price:.4g} is published"
                 f"{_dated(row)} ({price / expected - 1:+.1%}).",
                 {"published_usd": price, "usd": expected, "table_date": quote.date, "date": row.date}), []


def _of_whole_tokens(row: Row, given_usd: float, made_usd: float, expected: float) -> float:
    off = row.step("input_tokens_mean") * given_usd + row.step("output_tokens_mean") * made_usd
    return off / 1e6 / expected if expected else 0.0


def hourly_price(row: Row, table: PriceTable) -> tuple[Check, list[Correction]] | None:
    """The hourly price that the published prices imply, against the one told or any dated one of the table."""
    implied = implied_hourly(row)
    if implied is None or implied < 0:
        return None
    if implied > _LARGEST_USD:
        return Check(8, "price arithmetic", FAIL, f"The published price implies more than ${_LARGEST_USD:,.0f} per "
                     "hour, which no instance costs.", {"implied_usd_per_hour": None}), []
    sentence = f"The published price implies ${implied:,.4g} per hour{_dated(row)}"
    count = max(row.value("instance_count") or 1.0, 1.0)
    rounding = _rounding(row)
    quotes = list(_quotes(row, table))
    if not quotes:
        return Check(8, "price arithmetic", PASS, sentence + "; there is none to compare it with.",
                     {"implied_usd_per_hour": implied}), []
    usd, dated = min(quotes, key=lambda quote: abs(implied / (quote[0] * count) - 1))
    known = usd * count
    return Check(8, "price arithmetic", _graded(implied, known, row.date, dated, rounding),
                 f"{sentence}; the price table of {dated} has ${known:,.4g} ({implied / known - 1:+.1%})."
                 if dated else f"{sentence}; ${known:,.4g} is told ({implied / known - 1:+.1%}).",
                 {"implied_usd_per_hour": implied, "usd_per_hour": known, "table_date": dated, "date": row.date}), []


def _quotes(row: Row, table: PriceTable) -> Iterable[tuple[float, str]]:
    """The price told, else all that the table holds for the instance type, of any date: (USD, date)."""
    told_usd = row.value("usd_per_hour")
    if told_usd and told_usd > 0:
        return [(told_usd, "")]
    return [(quote.usd, quote.date) for quote in table if quote.instance_type == row.instance_type
            and quote.purchase == "on_demand" and quote.usd > 0]


def _rounding(row: Row) -> float:
    """What rounding of the price and of the rate may account for."""
    pairs = ((row.value(name), row.step(name)) for name in (
        "price_per_transaction", "price_per_10k_transactions", "transactions_per_minute", "price_per_1m_output_tokens",
        "output_tokens_per_s", "cost_usd", "duration_s") if name in row.figures)
    return sum(step / abs(value) for value, step in pairs if value)


def _graded(found: float, known: float, at: str | None, table_date: str, rounding: float = 0.0) -> str:
    """PASS within 1 %; FAIL for a factor that list prices do not move by, or where both are of the same half year."""
    ratio = found / known
    if abs(ratio - 1) <= PRICE_TOLERANCE + rounding:
        return PASS
    if ratio > _MOVED or ratio < 1 / _MOVED:
        return FAIL
    if table_date and not _near(at, table_date):
        return WARN
    return FAIL if abs(ratio - 1) > 0.2 else WARN


def _near(at: str | None, table_date: str) -> bool:
    try:
        return abs((date.fromisoformat((at or "")[:10]) - date.fromisoformat(table_date[:10])).days) < _MONTHS_APART
    except ValueError:
        return False


def _dated(row: Row) -> str:
    return f" ({row.date[:10]})" if row.date else ""
