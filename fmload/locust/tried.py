"""The endpoint of a start form, tried before its run: is it there, is the key good, which model, do the tokens fit?"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from fmload.base.errors import FmloadError
from fmload.base.redaction import printable
from fmload.base.units import format_duration
from fmload.config import RunFile
from fmload.launch import server
from fmload.locust.webui.start import Tried

ANSWER_LIMIT_S = 10.0
_NAMES = {"user_count": "num_users"}  # as the form calls Locust's options
_KEY_HINT = "set a variable to the key, and start Locust with --fmload-api-key-env and its name"


def filled(options: Namespace, form: Mapping[str, str]) -> Namespace:
    """The options as the form sets them, in their own types. Raises FmloadError for a text that is no number."""
    given, values = vars(options), {}
    for name, text in form.items():
        option = _NAMES.get(name, name)
        if option in given and not (text == "" and option == "run_time"):
            values[option] = _typed(name, text, given[option])
    return Namespace(**{**given, **values})


def _typed(name: str, text: str, old: Any) -> Any:
    if name == "run_time":
        return old  # Locust's own grammar, and its own message
    kind = float if name == "spawn_rate" else int if name == "user_count" else type(old)
    if kind not in (int, float) or isinstance(old, bool):
        return text
    try:
        return kind(text)
    except ValueError as error:
        raise FmloadError(f"{name.removeprefix('fmload_').replace('_', ' ')}: '{text}' is no number") from error


def tried(read: Callable[[], RunFile], host: str | None, remote: bool) -> Tried:
    """Of the run file that `read` makes of the form. Endpoints that are not a plain server of OpenAI's protocol, and
    keys that only workers on other hosts hold (`remote`), are the run's own affair."""
    try:
        run = read()
        spec = run.endpoints[0]
        if spec.protocol != "openai" or not spec.model:
            return Tried(True, "")
        url, variable = (spec.url or (spec.urls or [host or ""])[0]).rstrip("/"), spec.options.api_key_env
        if "@" in urlsplit(url).netloc:
            return Tried(True, "not tried: the host has a user and a password")
        if remote and variable and not os.environ.get(variable):
            return Tried(True, f"not tried: {variable} is set on the workers alone")
        return _asked(run, spec.model, variable, url)
    except FmloadError as error:
        return Tried(False, _masked(printable(told_of(error)), host or ""))


def told_of(error: FmloadError) -> str:
    """An error in the words of Locust's options."""
    told, hint = " ".join(error.message.split()), error.hint or ""
    hint = _KEY_HINT if "--api-key-env MY_KEY" in hint else hint.replace("--model NAME", "the field Model says it")
    return f"{told} — {hint}" if hint else told


def _masked(told: str, host: str) -> str:
    """Without the user and password of the command line's host, whole or in parts."""
    user = urlsplit(host).netloc.rpartition("@")[0]
    for secret in (user, user.partition(":")[2]):
        told = told.replace(secret, "(masked)") if secret else told
    return told


def _asked(run: RunFile, model: str, variable: str | None, url: str) -> Tried:
    if (base := server.base_url(url)) != url:
        raise FmloadError(f"the host {url} is no base URL", hint=f"write {base}")
    served = server.ask(url, variable)
    _fits(run, model, served.context(model))
    took_s = _answered(served, url, model, variable)
    key = f", key of {variable} accepted" if variable else ", no key asked for"
    limit = f", {context:,} tokens a request at most" if (context := served.context(model)) else ""
    first = (f"a first answer after {format_duration(took_s)}" if took_s is not None else
             f"no answer within {format_duration(ANSWER_LIMIT_S)}: it is busy, or loading the model")
    return Tried(True, f"{url} serves {model}{limit}{key}; {first}")


def _answered(served: server.Served, url: str, model: str, variable: str | None) -> float | None:
    """As `server.try_answer`. Many servers answer to more names than they list, so a model that is not listed is wrong
    only where its answer does not come: then the list is the better message."""
    try:
        server.choose(served, model)
    except FmloadError as unlisted:
        try:
            took_s = server.try_answer(url, model, variable, ANSWER_LIMIT_S)
        except FmloadError:
            raise unlisted from None
        if took_s is None:
            raise
        return took_s
    return server.try_answer(url, model, variable, ANSWER_LIMIT_S)


def _fits(run: RunFile, model: str, context: int | None) -> None:
    """Raises FmloadError for lengths that no request of this model may have."""
    for prompts in run.prompts:
        given, answer = getattr(prompts.options, "input_tokens", None), prompts.output_tokens
        if context and given and answer and given.mean + answer.mean > context:
            raise FmloadError(f"{given.mean:,.0f} tokens of prompt and {answer.mean:,.0f} of answer are more than the "
                              f"{context:,} that {model} takes", hint="ask for fewer")
