"""Options of plain Locust runs, and the run file that they stand for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError
from fmload.base.units import parse_duration_s
from fmload.config import RunFile, load, parse, yaml_lines
from fmload.config.beside import BESIDE
from fmload.config.parameters import parameters_of
from fmload.exposition import watching
from fmload.launch.server import key_variable
from fmload.locust.foreseen import Foreseen

DEFAULT_RUN_TIME_S = 60.0

Ask = Callable[[str, str | None], str]  # a URL and the variable that holds the key → a model


def add_arguments(parser: Any) -> None:
    """Add fmload's options to Locust's parser. On the parser itself: what is in a group is not in the web form.

    What names files, variables or other hosts is not in the form either (`webui.guard.LOCKED`): a page may not set it.
    """
    parser.set_defaults(web_host="127.0.0.1")  # Locust's own default is every interface
    add = parser.add_argument
    add("--fmload-config", include_in_web_ui=False, default="", env_var="FMLOAD_CONFIG",
        help="Run file (YAML); the options below are then unused")
    add("--fmload-out", include_in_web_ui=False, default="", env_var="FMLOAD_OUT",
        help="Results folder; results/<name>-<UTC>/ when empty")
    add("--fmload-urls", include_in_web_ui=False, default="", env_var="FMLOAD_URLS",
        help="Several addresses of one model, separated by commas, in place of the host")
    add("--fmload-model", default="", env_var="FMLOAD_MODEL", help="Model to ask for; asked of the server when empty")
    add("--fmload-embed-model", default="", env_var="FMLOAD_EMBED_MODEL",
        help="Model at the same host that a scenario's client.embed asks")
    add("--fmload-rerank-model", default="", env_var="FMLOAD_RERANK_MODEL",
        help="Model at the same host that a scenario's client.rerank asks")
    add("--fmload-api-key-env", include_in_web_ui=False, default="", env_var="FMLOAD_API_KEY_ENV",
        help="Name of the environment variable with the API key (on the workers); never the key itself")
    add("--fmload-prompts", include_in_web_ui=False, default="", env_var="FMLOAD_PROMPTS",
        help="JSONL file of prompts; synthetic ones when empty")
    add("--fmload-input-tokens", type=int, default=200, env_var="FMLOAD_INPUT_TOKENS", help="Synthetic prompts: tokens")
    add("--fmload-output-tokens", type=int, default=100, env_var="FMLOAD_OUTPUT_TOKENS", help="Tokens to ask for")
    add("--fmload-concurrency", default="", env_var="FMLOAD_CONCURRENCY",
        help="Sweep: concurrencies, such as 1,2,4,8; the number of users when empty")
    add("--fmload-warmup", default="5s", env_var="FMLOAD_WARMUP", help="Warm-up of each stage")
    add("--fmload-window", default="", env_var="FMLOAD_WINDOW",
        help="Measurement window of each stage; --run-time when empty")
    add("--fmload-drain", default="60s", env_var="FMLOAD_DRAIN",
        help="Limit for requests in flight when a window closes")
    add("--fmload-parameters", default="", env_var="FMLOAD_PARAMETERS",
        help='Inference parameters, such as {"temperature": 0.1}')
    add("--fmload-balance", default="round_robin", env_var="FMLOAD_BALANCE", choices=["round_robin", "least_busy"],
        help="Which of --fmload-urls a request goes to")
    watching.add_arguments(_hidden(add), "fmload-")
    add("--fmload-resume", action="store_true", default=False, include_in_web_ui=False,
        help="Go on with an interrupted run in --fmload-out")


def _hidden(add: Callable[..., Any]) -> Callable[..., Any]:
    """Options of exporters: not in the start form, and with a variable of their name, `FMLOAD_OTLP_ENDPOINT`."""
    def hidden(flag: str, **more: Any) -> Any:
        return add(flag, env_var=flag.lstrip("-").replace("-", "_").upper(), include_in_web_ui=False, **more)
    return hidden


def run_file(options: argparse.Namespace, host: str | None, protocol: str, ask: Ask | None = None,
             scripted: bool = False, foreseen: Foreseen | None = None) -> RunFile:
    """The run file named by --fmload-config, or the one that the other options describe. Raises FmloadError.

    `ask` tells the model of a server that speaks OpenAI's protocol, where none is given. `scripted`: the users write
    what they send; `foreseen`: what their own load shape will ask for.
    """
    if options.fmload_config:
        run = load(Path(options.fmload_config))
    else:
        urls = _urls(options) or [host or ""]
        if ask is not None and protocol == "openai" and not options.fmload_model and urls[0]:
            given = {**vars(options), "fmload_model": ask(urls[0], options.fmload_api_key_env or None)}
            options = argparse.Namespace(**given)
        described = {**_described(options, host, protocol), **({"prompts": [_scenario(options)]} if scripted else {}),
                     **({"load": _followed(options, foreseen)} if foreseen else {})}
        described = _with_beside(options, described, scripted)
        run = parse(yaml_lines.write(described), "the options", Path.cwd())
    waiting = [spec.name for spec in run.endpoints if spec.deploy]
    if waiting:
        raise FmloadError(f"endpoint {waiting[0]} is to be deployed, which Locust alone does not do",
                          hint="use 'fmload run', or give the endpoint's url")
    return run


def with_usual_key(options: argparse.Namespace, protocol: str) -> bool:
    """Take OPENAI_API_KEY where it is set and no other variable is named, as `fmload run URL` does; True where it was
    taken. Only for the server that the command line of a run in one process names: a form may send no key to a host of
    its own, and workers elsewhere have variables of their own."""
    named = options.fmload_api_key_env or options.fmload_config
    alone = options.headless and not options.master and not options.worker
    if named or not alone or protocol != "openai" or not (options.host or _urls(options)):
        return False
    options.fmload_api_key_env = key_variable(None) or ""
    return bool(options.fmload_api_key_env)


def _described(options: argparse.Namespace, host: str | None, protocol: str) -> dict[str, Any]:
    return {"name": "locust", "endpoints": [_endpoint(options, host, protocol)], "prompts": [_prompts(options)],
            "load": _load(options)}


def _endpoint(options: argparse.Namespace, host: str | None, protocol: str) -> dict[str, Any]:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", options.fmload_model).strip("-._") or protocol
    given = {**_where(options, host), "model": options.fmload_model, "api_key_env": options.fmload_api_key_env}
    return {"name": name, "protocol": protocol, "parameters": parameters_of(options.fmload_parameters),
            **{key: value for key, value in given.items() if value}}


def _where(options: argparse.Namespace, host: str | None) -> dict[str, Any]:
    urls = _urls(options)
    return {"urls": urls, "balance": options.fmload_balance} if urls else {"url": host}


def _urls(options: argparse.Namespace) -> list[str]:
    return [url.strip() for url in options.fmload_urls.split(",") if url.strip()]


def _prompts(options: argparse.Namespace) -> dict[str, Any]:
    length = {"output_tokens": options.fmload_output_tokens}
    if options.fmload_prompts:
        return {"name": "prompts", "source": "jsonl", "files": [options.fmload_prompts], **length}
    tokens = options.fmload_input_tokens
    return {"name": f"synthetic-{tokens}", "source": "synthetic", "input_tokens": tokens, **length}


def _with_beside(options: argparse.Namespace, described: dict[str, Any], scripted: bool) -> dict[str, Any]:
    """What the options describe, with endpoints for embeddings and rankings beside the first, at the same host, where
    their models are named."""
    first, beside = described["endpoints"][0], []
    for how in BESIDE.values():
        if model := getattr(options, f"fmload_{how.call}_model"):
            beside.append({**first, "name": how.what, "protocol": how.protocol, "model": model, "parameters": {}})
            if not scripted or first["protocol"] not in ("openai", "responses"):
                raise FmloadError(f"--fmload-{how.call}-model {model}: client.{how.call} of an OpenAIUser asks it",
                                  hint="leave it out; or give a run file (--fmload-config)")
    if not beside:
        return described
    return {**described, "endpoints": [first, *beside], "load": {**described["load"], "side_by_side": True}}


def _scenario(options: argparse.Namespace) -> dict[str, Any]:
    if options.fmload_prompts:
        raise FmloadError(f"--fmload-prompts {options.fmload_prompts}: these users write what they send",
                          hint="leave it out, or read the file in the locustfile")
    return {"name": "scenario", "source": "scenario"}


def _load(options: argparse.Namespace) -> dict[str, Any]:
    """A sweep where one is given; else one stage of -u users, ramped at -r, measured until -t."""
    users = options.num_users or 1
    levels = _numbers(options.fmload_concurrency) or [users]
    rate = options.spawn_rate or 1
    ramp_s = 0.0 if options.fmload_concurrency else users / rate
    warmup_s = _seconds("--fmload-warmup", options.fmload_warmup)
    if options.fmload_window:
        window_s = _seconds("--fmload-window", options.fmload_window)
    else:
        window_s = max(1.0, float(options.run_time or DEFAULT_RUN_TIME_S) - ramp_s - warmup_s)
    return {"concurrency": levels, "ramp": f"{ramp_s}s", "warmup": f"{warmup_s}s", "window": f"{window_s}s",
            "drain": options.fmload_drain}


def _followed(options: argparse.Namespace, foreseen: Foreseen) -> dict[str, Any]:
    """One stage over the whole of a load shape, its warm-up less."""
    warmup_s = _seconds("--fmload-warmup", options.fmload_warmup)
    seconds = foreseen.seconds or options.run_time
    if not foreseen.users or (not seconds and not options.fmload_window):
        raise FmloadError("the locustfile's load shape does not say how long it goes on, or asks for no users",
                          hint="give -t or --fmload-window, and a tick() that asks for users")
    window_s = (_seconds("--fmload-window", options.fmload_window) if options.fmload_window
                else max(1.0, float(seconds or 0) - warmup_s))
    return {"concurrency": [foreseen.users], "shape": True, "ramp": 0, "warmup": f"{warmup_s}s",
            "window": f"{window_s}s", "drain": options.fmload_drain}


def _seconds(option: str, text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise FmloadError(f"{option}: {error}") from error


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise FmloadError(f"--fmload-concurrency: {text!r} is not a list of whole numbers",
                          hint="for example --fmload-concurrency 1,2,4,8") from error
