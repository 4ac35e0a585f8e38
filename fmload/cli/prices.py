"""`fmload prices`: what the price table holds, and a fresh one from the AWS Price List API."""

from __future__ import annotations

import argparse
import fnmatch
from datetime import UTC, datetime
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload prices`."""
    parser.add_argument("action", nargs="?", choices=("show", "refresh"), default="show")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--types", default="*", metavar="PATTERN[,…]",
                        help="instance types; with refresh, those of the shipped table that match, or full names")
    parser.add_argument("--table", type=Path, metavar="FILE", help="a table of your own, shown before the shipped one")
    parser.add_argument("--out", type=Path, default=Path("prices.yml"), metavar="FILE",
                        help="where refresh writes (default: prices.yml); name it in the run file: prices: FILE")


def run(args: argparse.Namespace) -> int:
    """Show or refresh."""
    return _refresh(args) if args.action == "refresh" else _show(args)


def _show(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from fmload.pricing.table import load_prices

    patterns = args.types.split(",")
    table = Table("instance type", "USD/hour", "purchase", "date", "source", box=None)
    sources: list[str] = []
    for quote in load_prices(args.table):
        if quote.region == args.region and any(fnmatch.fnmatch(quote.instance_type, pattern) for pattern in patterns):
            source = f"{quote.source} ({quote.note})" if quote.note else quote.source
            sources += [] if source in sources else [source]
            table.add_row(quote.instance_type, str(quote.usd), quote.purchase, quote.date,
                          f"{sources.index(source) + 1}")
    print(f"Prices in {args.region}")
    Console().print(table)
    for number, source in enumerate(sources, 1):
        print(f"{number}: {source}")
    return 0


def _refresh(args: argparse.Namespace) -> int:
    from botocore.exceptions import BotoCoreError, ClientError

    from fmload.base.errors import FmloadError
    from fmload.pricing import aws_price_list as price_list

    wanted = _types(args.types.split(","))
    try:
        prices, missing = price_list.fetch(price_list.client(), wanted, args.region)
    except (BotoCoreError, ClientError) as error:
        raise FmloadError(f"the Price List API did not answer: {error}",
                          hint="it needs credentials with pricing:GetProducts") from error
    if not prices["on_demand"]:
        raise FmloadError(f"no price found in {args.region} for {', '.join(wanted)}")
    price_list.write_table(args.out, price_list.as_table(prices, args.region, datetime.now(UTC).date()))
    print(f"{len(prices['on_demand'])} prices of {args.region} written to {args.out}")
    if missing:
        print(f"not sold on demand in {args.region}: {', '.join(missing)}")
    return 0


def _types(patterns: list[str]) -> list[str]:
    from fmload.pricing.table import load_prices

    known = list(dict.fromkeys(quote.instance_type for quote in load_prices()))
    return list(dict.fromkeys(name for pattern in patterns
                              for name in fnmatch.filter(known, pattern) or ([] if "*" in pattern else [pattern])))
