"""`fmload prices`: what the price table holds, a fresh one from the AWS Price List API, and what is wrong with it."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmload.base.errors import EXIT_INVALID, EXIT_OK

BEDROCK = "bedrock"  # among the types of a refresh: the token prices of Bedrock's models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload prices`."""
    parser.add_argument("action", nargs="?", choices=("show", "refresh", "check"), default="show")
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="check: a run file whose endpoints need prices")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--types", default="*", metavar="PATTERN[,…]",
                        help="instance types; with refresh, those of the shipped table that match, full names, "
                             "and bedrock for the token prices of its models")
    parser.add_argument("--table", type=Path, metavar="FILE", help="a table of your own, shown before the shipped one")
    parser.add_argument("--spot", action="store_true", help="refresh: the latest spot prices of EC2, too")
    parser.add_argument("--older-than", type=int, default=180, metavar="DAYS", help="check: what counts as old")
    parser.add_argument("--out", type=Path, default=Path("prices.yml"), metavar="FILE",
                        help="where refresh writes (default: prices.yml); name it in the run file: prices: FILE")


def run(args: argparse.Namespace) -> int:
    """Show, refresh or check."""
    return {"show": _show, "refresh": _refresh, "check": _check}[args.action](args)


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
    from fmload.pricing import bedrock_price_list

    patterns = args.types.split(",")
    wanted = _types([pattern for pattern in patterns if pattern != BEDROCK])
    now, tokens = datetime.now(UTC), bedrock_price_list.Found()
    try:
        pricing = price_list.client()
        found = price_list.fetch(pricing, wanted, args.region)
        if args.spot:
            found.prices["spot"] = price_list.spot(_client("ec2", args.region), [
                name for name in wanted if not name.startswith("ml.")], now)
        if BEDROCK in patterns:
            ids = bedrock_price_list.model_ids(_client("bedrock", args.region))
            tokens = bedrock_price_list.fetch(pricing, ids, args.region)
    except (BotoCoreError, ClientError) as error:
        raise FmloadError(f"AWS did not answer: {error}",
                          hint="it needs credentials with pricing:GetProducts; bedrock takes "
                               "bedrock:ListFoundationModels and bedrock:ListInferenceProfiles, --spot "
                               "ec2:DescribeSpotPriceHistory") from error
    for told in (*found.told, *tokens.told):
        print(f"left out: {told}", file=sys.stderr)
    count = sum(map(len, found.prices.values())) + len(tokens.rows)
    if not count:
        raise FmloadError(f"no price found in {args.region} for {', '.join([*wanted, *patterns][:20])}",
                          hint="name a region that sells them, or instance types in full")
    price_list.write_table(args.out, price_list.as_table(found.prices, args.region, now.date(), tokens.rows))
    print(f"{count} prices of {args.region} written to {args.out}")
    if found.missing:
        print(f"not sold on demand in {args.region}: {', '.join(found.missing)}")
    return EXIT_OK


def _client(service: str, region: str) -> Any:
    import boto3

    return boto3.client(service, region_name=region)


def _types(patterns: list[str]) -> list[str]:
    from fmload.pricing.table import load_prices

    known = list(dict.fromkeys(quote.instance_type for quote in load_prices()
                               if not quote.purchase.startswith("provisioned")))
    return list(dict.fromkeys(name for pattern in patterns
                              for name in fnmatch.filter(known, pattern) or ([] if "*" in pattern else [pattern])))


def _check(args: argparse.Namespace) -> int:
    """What is old, what contradicts, and what a run file needs and the table lacks. 4 when there is any of the last."""
    from fmload.pricing.checking import contradictions, missing, old
    from fmload.pricing.table import load_prices

    today = datetime.now(UTC).date()
    run_file = None
    if args.config is not None:
        from fmload import config

        run_file = config.load(config.find(args.config))
    own = args.table or (Path(run_file.prices) if run_file and run_file.prices else None)
    table = load_prices(own)
    entries = [] if run_file is None else [spec.model_dump(mode="json", by_alias=True, exclude_unset=True,
                                                           exclude_none=True) for spec in run_file.endpoints]
    lacking = missing(entries, run_file.region if run_file else None, table)
    for heading, lines in ((f"older than {args.older_than} days", old(table, today, args.older_than)),
                           ("rows that contradict", contradictions(table)), ("missing for the run file", lacking)):
        print(f"{heading}: {len(lines) or 'none'}")
        for line in lines:
            print(f"  {line}")
    return EXIT_INVALID if lacking else EXIT_OK
