"""`fmload init`: ask what to measure, or take it from flags, and write a commented run file that works."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from fmload import config
from fmload.base.errors import EXIT_OK, FmloadError
from fmload.config import yaml_lines
from fmload.plugins import ENDPOINTS

_DETECT_LIMIT_S = 3.0
_TEMPLATE = """\
# A run of fmload. Check it with 'fmload validate {path}'; every key is in docs/run-file.md.
name: {name}
seed: 7                       # the same seed gives the same prompts in the same order

endpoints:
  - name: {endpoint}
    protocol: {protocol}
{address}
    tokenizer: {tokenizer}        # or the model's own: a Hugging Face name, or a folder
    stream: true
    parameters: {{temperature: 0}}
{price}

prompts:
  - name: {prompts}
    source: synthetic         # or jsonl, sharegpt, longbench, …: docs/prompts.md
    input_tokens: {{mean: {input_tokens}, stddev: {stddev}}}
    output_tokens: {output_tokens}

load:
  concurrency: {concurrency}
  ramp: 5s
  warmup: 10s
  window: {window}
  drain: 120s
  workers: 1

objectives:                   # any metric of docs/metrics.md with a limit
  ttft_p95: 2s
  error_rate: 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options. What is not given is asked for when there is a terminal to ask at."""
    add = parser.add_argument
    add("--url", help="base URL, for example http://10.0.0.5:8000/v1")
    add("--protocol", choices=ENDPOINTS.names(), help="default: openai")
    add("--model", help="model name; asked of the server when it is not given")
    add("--endpoint-name", metavar="NAME", help="SageMaker's name of the endpoint")
    add("--region", help="AWS region")
    add("--api-key-env", metavar="VARIABLE", help="environment variable that holds the API key")
    add("--tokenizer", default="bundled", help="bundled, a Hugging Face name, or a folder")
    add("--instance-type", help="what the endpoint runs on, for its price")
    add("--concurrency", metavar="N,N,…", help="users to sweep; default: 1,2,4,8,16")
    add("--input-tokens", type=int, default=550, metavar="N", help="mean prompt length; default: 550")
    add("--output-tokens", type=int, default=150, metavar="N", help="answer length; default: 150")
    add("--window", default="60s", help="measured time of each stage; default: 60s")
    add("--out", type=Path, default=Path("run.yml"), metavar="FILE", help="default: run.yml")
    add("--force", action="store_true", help="replace the file when it is there")


def run(args: argparse.Namespace) -> int:
    """Write the file, having checked that it loads, and say what comes next."""
    if args.out.exists() and not args.force:
        raise FmloadError(f"{args.out} is there already", hint="name another with --out, or replace it with --force")
    _complete(args)
    text = render(args)
    config.parse(text, str(args.out), args.out.resolve().parent)
    try:
        args.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FmloadError(f"{args.out}: {error.strerror}", hint="name another file with --out") from error
    print(f"wrote {args.out}; next:\n  fmload validate {args.out}\n  fmload run {args.out}")
    return EXIT_OK


def render(args: argparse.Namespace) -> str:
    """The run file's text."""
    name = _name(args.model or args.endpoint_name or urlsplit(args.url or "").hostname or "run")
    return _TEMPLATE.format(
        path=args.out, name=name, endpoint=name, protocol=args.protocol, address=_address(args),
        tokenizer=_scalar(args.tokenizer), price=_price(args.instance_type), prompts=f"mean_{args.input_tokens}",
        input_tokens=args.input_tokens, stddev=args.input_tokens // 4, output_tokens=args.output_tokens,
        concurrency=_levels(args.concurrency), window=args.window)


def detect_models(url: str, api_key: str | None = None) -> list[str]:
    """The models that an OpenAI-like server says it serves; none when it does not answer within 3 s."""
    base = url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1"
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the load goes straight, too
    try:
        with opener.open(urllib.request.Request(f"{base.rstrip('/')}/models", headers=headers),
                         timeout=_DETECT_LIMIT_S) as response:
            listed = json.load(response)["data"]
        return [str(entry["id"]) for entry in listed]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _complete(args: argparse.Namespace) -> None:
    """Fill in what was not given: from the server, by asking, or with defaults."""
    asking = sys.stdin.isatty() and not (args.url or args.endpoint_name or args.model)
    if args.protocol is None:
        args.protocol = _ask(f"protocol ({', '.join(ENDPOINTS.names())})", "openai") if asking else "openai"
    if args.protocol == "openai":
        _complete_openai(args, asking)
    elif asking and args.protocol == "sagemaker":
        args.endpoint_name = _ask("endpoint name")
    elif asking:
        args.model = _ask("model")
    if asking:
        args.concurrency = args.concurrency or _ask("users to sweep", "1,2,4,8,16")
        args.instance_type = args.instance_type or _ask("instance type, for the price (may stay empty)", "")
    if not (args.url or args.endpoint_name or args.model):
        raise FmloadError("nothing to measure is named",
                          hint="give --url, or --protocol with --model or --endpoint-name")


def _complete_openai(args: argparse.Namespace, asking: bool) -> None:
    if asking:
        args.url = _ask("base URL", "http://127.0.0.1:8000/v1")
    if not args.url:
        raise FmloadError("no --url given", hint="for example --url http://127.0.0.1:8000/v1")
    if args.model is None:
        key = os.environ.get(args.api_key_env) if args.api_key_env else None
        models = detect_models(args.url, key)
        if models:
            print(f"{args.url} serves {', '.join(models)}")
        first = models[0] if models else None
        args.model = _ask("model", first) if asking else first
    if args.model is None:
        raise FmloadError(f"{args.url} does not say which model it serves", hint="is it up? else give --model")


def _ask(question: str, default: str | None = None) -> str:
    """The answer, or the default; asks again while there is neither."""
    while True:
        try:
            answer = input(f"{question}{f' [{default}]' if default else ''}: ").strip()
        except EOFError as error:
            raise FmloadError("the questions were not answered", hint="give flags: fmload init --help") from error
        if answer or default is not None:
            return answer or default or ""


def _address(args: argparse.Namespace) -> str:
    keys = {"url": args.url, "model": args.model, "endpoint_name": args.endpoint_name, "region": args.region,
            "api_key_env": args.api_key_env}
    return "\n".join(f"    {key}: {_scalar(value)}" for key, value in keys.items() if value)


def _price(instance_type: str | None) -> str:
    if instance_type:
        return f"    price: {{instance_type: {_scalar(instance_type)}, count: 1}}"
    return "    # price: {instance_type: g5.2xlarge}   # or {hourly: 1.21}, or {input_per_1m: 3, output_per_1m: 15}"


def _scalar(value: str) -> str:
    """The text as YAML has it, in quotes where it needs them."""
    return yaml_lines.write(value).removesuffix("\n").removesuffix("\n...")


def _levels(text: str | None) -> list[int]:
    try:
        return [int(level) for level in (text or "1,2,4,8,16").split(",")]
    except ValueError as error:
        raise FmloadError(f"--concurrency {text}: not whole numbers with commas between",
                          hint="for example 1,2,4") from error


def _name(text: str) -> str:
    """The text as a name for files: what a name cannot hold becomes a dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.rsplit("/", 1)[-1]).strip("-._") or "run"
