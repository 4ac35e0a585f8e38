"""What the emulator is told at its start, and the command line that tells it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.base.units import parse_duration_s
from fmload.emulator import engine_settings, faults
from fmload.emulator.faults import Fault
from fmload.emulator.profiles import PROFILES, Profile, steady
from fmload.emulator.shape import Shape
from fmload.plugins import FORMS

_LOOPBACK = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the server needs. Durations in seconds, `*_at_s` after the start."""

    profile: Profile
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    tls_hosts: tuple[str, ...] = _LOOPBACK
    models: tuple[str, ...] = ()  # served names; any name is accepted when empty
    api_key: str | None = None
    shape: Shape = field(default_factory=Shape)
    faults: tuple[Fault, ...] = ()
    dialect: str | None = None  # of the table `fmload.plugins.FORMS`
    seed: int = 0
    dimension: int = 384  # of vectors
    image_steps: int = 20  # of the engine, for each image that is made
    default_tokens: int = 128  # when the request sets no limit
    natural_tokens: tuple[float, float] | None = None  # mean and standard deviation of answers that end by themselves
    tokenizer: str | None = None  # what counts tokens; the bundled one when absent
    prefix_cache: bool = False
    truth: Path | None = None
    truth_texts: bool = False
    ready_file: Path | None = None
    stall_at_s: float | None = None
    stall_for_s: float = 2.0
    die_at_s: float | None = None
    refuse_at_s: float | None = None
    metrics_factor: float = 1.0  # what /metrics says of tokens and times, times this


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fmload emulate` and `python -m fmload.emulator`."""
    add = parser.add_argument
    add("--profile", default="steady", help=f"what to imitate: {', '.join(sorted(PROFILES))}")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=8080, help="port; 0 takes a free one")
    add("--ttft", type=_duration, metavar="DURATION", help="steady: time to first token, such as 200ms")
    add("--gap", type=_duration, metavar="DURATION", help="steady: time between tokens, such as 20ms")
    add("--jitter", type=float, metavar="SHARE", help="standard deviation of times, as a share")
    add("--engine", default="", metavar="K=V,...",
        help=f"settings of the engine over the profile's: {', '.join(engine_settings.NAMES)}")
    add("--max-waiting", type=int, metavar="N", help="refuse requests when so many wait beside a full batch")
    add("--queue-timeout", type=_duration, metavar="DURATION", help="refuse requests that waited so long")
    add("--model", action="append", default=[], metavar="NAME",
        help="served model or SageMaker endpoint; other names are refused (repeatable)")
    add("--api-key", metavar="KEY", help="key that the OpenAI plane asks for")
    add("--tls", action="store_true", help="serve TLS with a certificate made at start (its path is printed)")
    add("--tls-host", action="append", default=[], metavar="NAME", help="name in the certificate (repeatable)")
    add("--shape", default="", metavar="K=V,...", help=f"how answers are cut: {', '.join(_shape_types())}")
    add("--fault", action="append", default=[], metavar="SPEC",
        help=f"such as 429:share=0.1 or cut:after=5,count=3 (repeatable); kinds: {', '.join(faults.KINDS)}")
    add("--dialect", metavar="NAME", help="answer in this odd form of the protocol; `list` shows all")
    add("--seed", type=int, default=0, help="seed of jitter and faults")
    add("--default-tokens", type=int, default=128, help="length of answers whose request sets no limit")
    add("--dimension", type=int, default=384, metavar="N", help="numbers of each embedding")
    add("--image-steps", type=_steps, default=20, metavar="N", help="steps of the engine for each image that is made")
    add("--natural-tokens", metavar="MEAN[,STDDEV]", help="answers end by themselves after so many tokens")
    add("--tokenizer", metavar="NAME", help="count tokens by this Hugging Face tokenizer or folder, slower (bundled)")
    add("--prefix-cache", action="store_true", help="cache prompt prefixes, as vLLM does by default")
    add("--truth-texts", action="store_true", help="what was asked and said, too, in the log")
    add("--truth", type=Path, metavar="FILE", help="log of every request with the instants of its tokens")
    add("--ready-file", type=Path, metavar="FILE", help="JSON with url, pid and ca_file, written once it listens")
    add("--stall-at", type=_duration, metavar="DURATION", help="the whole server stands still from then ...")
    add("--stall-for", type=_duration, default=2.0, metavar="DURATION", help="... for so long")
    add("--die-at", type=_duration, metavar="DURATION", help="kill the server then")
    add("--refuse-at", type=_duration, metavar="DURATION", help="refuse connections from then on")
    add("--metrics-factor", type=float, default=1.0, help="/metrics lies by this factor")


def from_arguments(args: argparse.Namespace) -> Settings:
    """Settings from parsed options. Raises FmloadError naming the option."""
    return Settings(
        profile=_profile(args), host=args.host, port=args.port, tls=args.tls,
        tls_hosts=tuple(args.tls_host) or _LOOPBACK,
        models=tuple(args.model), api_key=args.api_key, shape=parse_shape(args.shape),
        faults=tuple(map(faults.parse, args.fault)), dialect=_dialect(args.dialect), seed=args.seed,
        dimension=args.dimension, image_steps=args.image_steps, default_tokens=args.default_tokens,
        natural_tokens=_natural(args.natural_tokens), tokenizer=args.tokenizer,
        prefix_cache=args.prefix_cache, truth=args.truth, truth_texts=args.truth_texts,
        ready_file=args.ready_file, stall_at_s=args.stall_at, stall_for_s=args.stall_for, die_at_s=args.die_at,
        refuse_at_s=args.refuse_at, metrics_factor=args.metrics_factor)


def _profile(args: argparse.Namespace) -> Profile:
    if args.profile not in PROFILES:
        raise FmloadError(f"unknown profile '{args.profile}'{did_you_mean(args.profile, list(PROFILES))}",
                          hint=f"known: {', '.join(sorted(PROFILES))}")
    profile = engine_settings.changed(PROFILES[args.profile], args.engine)
    if profile.model is None:
        if args.max_waiting is not None or args.queue_timeout is not None:
            raise FmloadError(f"profile '{args.profile}' has no queue for --max-waiting and --queue-timeout",
                              hint="choose a profile that imitates an engine")
        return steady(profile, args.ttft, args.gap, args.jitter)
    if args.ttft is not None or args.gap is not None:
        raise FmloadError(f"--ttft and --gap do not go with profile '{args.profile}', whose model makes the times",
                          hint="use --profile steady")
    return profile.changed(jitter=args.jitter, max_waiting=args.max_waiting, queue_timeout_s=args.queue_timeout)


def _dialect(name: str | None) -> str | None:
    if name is not None:
        FORMS.load(name)
    return name


def _shape_types() -> dict[str, Any]:
    return {item.name: get_type_hints(Shape)[item.name] for item in fields(Shape)}


def parse_shape(text: str) -> Shape:
    """A shape from `role=early,tokens_per_chunk=4`. Raises FmloadError."""
    values: dict[str, Any] = {}
    kinds = _shape_types()
    for item in filter(None, text.split(",")):
        name, _, value = item.partition("=")
        name = {"delay": "delay_s", "ping": "ping_s"}.get(name, name)
        if name not in kinds:
            raise FmloadError(f"--shape: unknown key '{name}'{did_you_mean(name, list(kinds))}",
                              hint=f"known: {', '.join(kinds)}")
        try:
            values[name] = _shape_value(kinds[name], value)
        except ValueError as error:
            raise FmloadError(f"--shape {name}: {error}") from error
    return Shape(**values)


def _shape_value(kind: Any, text: str) -> Any:
    if kind is bool:
        return text not in ("0", "false", "no")
    if kind is float:
        return parse_duration_s(text)
    if get_origin(kind) is None or type(None) in get_args(kind):
        if int(text) < 0:
            raise ValueError(f"{text} is negative")
        return int(text)
    if text not in get_args(kind):
        raise ValueError(f"'{text}' is none of {', '.join(get_args(kind))}")
    return text


def _duration(text: str) -> float:
    try:
        return parse_duration_s(text) if text != "0" else 0.0
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _steps(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _natural(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        mean, *rest = [float(part) for part in text.split(",")]
        return mean, rest[0] if rest else 0.0
    except ValueError as error:
        raise FmloadError(f"--natural-tokens: '{text}' is not MEAN or MEAN,STDDEV") from error
