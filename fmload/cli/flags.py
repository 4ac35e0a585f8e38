"""The run file that flags stand for (`described_options`). What they leave open is asked of the server."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace

from fmload.base.errors import FmloadError
from fmload.base.units import format_duration
from fmload.config.schema import EndpointSpec
from fmload.launch import described, server
from fmload.launch.described import Described
from fmload.launch.usual import WINDOW_S
from fmload.prompts.aligned import server_counts

Say = Callable[[str], object]

_FLAGS = ("url", "protocol", "model", "endpoint_name", "region", "api_key_env", "ca_file", "tokenizer", "instance_type",
          "concurrency", "rate", "requests", "duration", "input_tokens", "output_tokens", "dataset")


def given(args: argparse.Namespace) -> list[str]:
    """The flags that were given, as they are written."""
    return [f"--{name.replace('_', '-')}" for name in _FLAGS if getattr(args, name) is not None]


def take_url(args: argparse.Namespace, typed: str) -> None:
    """A server that was named without its flag. Raises FmloadError where both name one."""
    if args.url is not None:
        raise FmloadError(f"{typed} and --url {args.url}: which of them?", hint="give one URL")
    args.url = typed


def as_described(args: argparse.Namespace) -> Described:
    """What the flags say, by themselves. Raises FmloadError for values that mean nothing, or contradict each other."""
    if args.concurrency and args.rate:
        raise FmloadError("--concurrency and --rate: give one of them",
                          hint="users wait for their answers (--concurrency); arrivals do not (--rate)")
    if args.requests is not None and args.duration:
        raise FmloadError("--requests and --duration: give one of them", hint="each ends a level by itself")
    for name in ("requests", "input_tokens", "output_tokens"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise FmloadError(f"--{name.replace('_', '-')} {getattr(args, name)}: must be at least 1")
    if args.dataset and args.input_tokens:
        raise FmloadError("--dataset and --input-tokens: the prompts of a data set have lengths of their own",
                          hint="leave one of them out")
    plain = {name: getattr(args, name) for name in ("url", "model", "endpoint_name", "region", "ca_file", "tokenizer",
                                                    "instance_type", "requests", "input_tokens", "output_tokens",
                                                    "dataset", "protocol") if getattr(args, name) is not None}
    return Described(
        **plain, api_key_env=args.api_key_env,
        concurrency=described.users_of("--concurrency", args.concurrency) if args.concurrency else None,
        rate=described.levels_of("--rate", args.rate) if args.rate else None,
        window_s=described.seconds_of("--duration", args.duration) if args.duration else WINDOW_S)


def completed(asked: Described, say: Say) -> Described:
    """With what the server says of itself: its model, and whether it counts tokens. Raises FmloadError when it is not
    there, refuses the key, or serves no such model."""
    if asked.protocol != "openai" or asked.url is None:
        return asked
    asked = replace(asked, url=_base_url(asked.url, say), api_key_env=server.key_variable(asked.api_key_env))
    served = server.ask(asked.url or "", asked.api_key_env, ca_file=asked.ca_file)
    asked = replace(asked, model=server.choose(served, asked.model))
    context = served.context(asked.model or "")
    _check_length(asked, context)
    others = f" (of {len(served.models)} that it serves)" if len(served.models) > 1 else ""
    limit = f", {context:,} tokens a request at most" if context else ""
    say(f"{asked.url}: model {asked.model}{others}{limit}{_key(asked)}")
    return _counted(asked, say)


def paced(asked: Described, args: argparse.Namespace, say: Say) -> Described:
    """With a load that suits the server's speed, where the flags leave its length open: one answer is timed for it.
    Levels or a data set that were chosen stay as they are, and get longer windows."""
    if asked.protocol != "openai" or asked.url is None or args.requests or args.duration:
        return asked
    found = server.answer_s(asked.url, asked.model or "", asked.api_key_env, asked.ca_file, asked.input_tokens,
                            asked.output_tokens, described.PROBE_LIMIT_S)
    chosen = any((args.concurrency, args.rate, args.dataset))
    suited = asked.lasting(found) if chosen else asked.paced(found)
    if found is not None and suited is not asked:
        took = f"takes {format_duration(found)}" if math.isfinite(found) else (
            f"takes longer than {format_duration(described.PROBE_LIMIT_S)}")
        say(f"one answer {took}: " + (
            f"{format_duration(suited.window_s)} a level; --duration asks for more or less" if chosen else
            "few requests, for numbers within a minute; --concurrency and --duration ask for more"))
    return suited


def _base_url(given: str, say: Say) -> str:
    url = server.base_url(given)
    if url != given.rstrip("/"):
        say(f"using {url} as the base URL of {given}")
    return url


def _key(asked: Described) -> str:
    return f"; key: {asked.api_key_env}" if asked.api_key_env else ""


def _check_length(asked: Described, context: int | None) -> None:
    if context and not asked.dataset and asked.input_tokens + asked.output_tokens > context:
        raise FmloadError(
            f"{asked.input_tokens:,} tokens of prompt and {asked.output_tokens:,} of answer are more than the "
            f"{context:,} that {asked.model} takes", hint="--input-tokens N --output-tokens N with less")


def _counted(asked: Described, say: Say) -> Described:
    """By the server's own tokenizer where it offers one and no other was named."""
    if asked.tokenizer != "bundled":
        return asked
    spec = EndpointSpec.model_validate({
        "name": "server", "protocol": "openai", "url": asked.url, "model": asked.model, "align": "server",
        **({"api_key_env": asked.api_key_env} if asked.api_key_env else {}),
        **({"ca_file": asked.ca_file} if asked.ca_file else {})})
    if server_counts(spec):
        say("lengths of prompts are counted by the server's own tokenizer (/tokenize)")
        return replace(asked, server_counts=True)
    say("lengths of prompts are counted by a bundled tokenizer, and differ from the model's own; --tokenizer names it")
    return asked


def plan_words(asked: Described) -> str:
    """What will be measured, in a line."""
    lengths = f"{asked.dataset}" if asked.dataset else f"{asked.input_tokens:,} tokens in"
    each = f"{asked.requests:,} requests" if asked.requests else format_duration(asked.window_s)
    return f"measuring {asked.levels}, {each} each; prompts: {lengths}, up to {asked.output_tokens:,} tokens out"
