"""What a server that speaks OpenAI's protocol says of itself before a load: whether it is there, whether the key is
good, its models and how long a request may be. Every way in which that fails has a message of its own."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fmload.base.errors import EXIT_INVALID, FmloadError
from fmload.base.redaction import protect, redacted
from fmload.base.registry import did_you_mean
from fmload.config.proxies import of_environment
from fmload.endpoints.failures import error_message
from fmload.launch import proxied
from fmload.launch.usual import DEFAULT_KEY
from fmload.model.request_id import new_trial_id
from fmload.wire.tls import client_context
from fmload.wire.url import Way, shown, split_url

LIMIT_S = 5.0
MOST_MODELS = 8  # of a server that lists more, the first is no sensible choice
_CALLS = ("/chat/completions", "/completions", "/responses", "/embeddings", "/models")
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d+(/.*)?")


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the server lists it; `context` is the most tokens of prompt and answer together, where it says so."""

    id: str
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What a server serves below its base `url`; no models where it lists none."""

    url: str
    models: tuple[Model, ...] = ()

    def names(self) -> list[str]:
        return [model.id for model in self.models]

    def context(self, model: str) -> int | None:
        """Most tokens of a request to the model; None when the server does not say."""
        return next((one.context for one in self.models if one.id == model), None)


class Unreached(FmloadError):
    """The server could not be asked at all."""


def looks_like_url(text: str) -> bool:
    """Whether what was typed in the place of a run file means a server: http://…, or host:port."""
    return "://" in text or text.startswith(("http:", "https:")) or bool(_HOST_AND_PORT.fullmatch(text))


def base_url(given: str) -> str:
    """The base URL that was meant: without the call's own path, with `/v1` where there is no path.

    Raises FmloadError for what is no http or https URL.
    """
    if "://" not in given:
        rest = re.sub(r"^https?:/*", "", given)
        wrong = "has no scheme" if rest == given else "lacks the // after its scheme"
        raise FmloadError(f"'{shown(given)}' {wrong}", hint=f"write http://{shown(rest)}, or https://{shown(rest)}")
    try:
        parts = urlsplit(given)
        parts.port  # noqa: B018 (raises for a port that is none)
    except ValueError as error:
        why = "is not a URL: is the password %-encoded?" if "@" in given else str(error)
        raise FmloadError(f"'{shown(given)}': {why}", hint="for example http://10.0.0.5:8000/v1") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FmloadError(f"'{shown(given)}' is no http or https URL", hint="for example http://10.0.0.5:8000/v1")
    path = parts.path.rstrip("/")
    for call in _CALLS:
        path = path.removesuffix(call)
    meant = parts._replace(path=path or "/v1", query="", fragment="").geturl()
    split_url(meant)
    return meant


def key_variable(named: str | None) -> str | None:
    """The variable that holds the API key: the one named, which must be set; else OPENAI_API_KEY where that is set."""
    if named is None:
        return DEFAULT_KEY if os.environ.get(DEFAULT_KEY, "").strip() else None
    if not os.environ.get(named, "").strip():
        looks = " (this looks like a key: give the name of the variable that holds it)" if len(named) > 30 else ""
        shown = f"{named[:4]}…" if looks else named
        raise FmloadError(f"--api-key-env: the environment variable {shown} is not set{looks}",
                          hint="export MY_KEY=…, then --api-key-env MY_KEY")
    return named


def ask(url: str, variable: str | None = None, headers: Mapping[str, str] | None = None,
        ca_file: str | None = None, limit_s: float = LIMIT_S) -> Served:
    """What the server below this base URL serves. `variable` names the environment variable with its key.

    A server without a list of models is one that serves none that are known. Raises FmloadError, with what to do, when
    it is not there, refuses the key, or is no such server.
    """
    asked = {**_authorization(variable), **(headers or {})}
    try:
        return Served(url, _models(_get(f"{url}/models", asked, ca_file, limit_s)))
    except urllib.error.HTTPError as error:
        return _refused(url, variable, error)
    except (OSError, http.client.HTTPException) as error:
        raise _unreached(url, error, limit_s) from error
    except ValueError as error:
        raise FmloadError(f"{url}/models answers, but not with a list of models: {error}",
                          hint="is this the base URL? servers of OpenAI's protocol have it below /v1, as in "
                               "http://host:8000/v1", exit_code=EXIT_INVALID) from error


def answer_s(served: str, model: str, variable: str | None, ca_file: str | None, prompt_tokens: int, tokens: int,
             limit_s: float) -> float | None:
    """How long one answer of `tokens` tokens takes, in seconds; infinite where it is not there within `limit_s`, None
    where the server refuses it (the trial before the load tells why)."""
    body = {"model": model, "messages": [{"role": "user", "content": "count on: " + "1 2 3 4 " * (prompt_tokens // 4)}],
            "max_tokens": tokens, "temperature": 0}
    headers = {"content-type": "application/json", **_authorization(variable)}
    begun = time.monotonic()
    try:
        _get(f"{served}/chat/completions", headers, ca_file, limit_s, json.dumps(body).encode())
    except TimeoutError:
        return math.inf
    except (OSError, http.client.HTTPException, ValueError) as error:
        return math.inf if isinstance(getattr(error, "reason", None), TimeoutError) else None
    return time.monotonic() - begun


def try_answer(served: str, model: str, variable: str | None, limit_s: float) -> float | None:
    """Seconds that one answer of a token took; None where it is not there within `limit_s`: the server may be busy.

    Raises FmloadError when the server is not there, refuses the key, or refuses the request: many servers check the key
    here alone, not where they list their models.
    """
    headers = {"content-type": "application/json", "X-Request-Id": new_trial_id(), **_authorization(variable)}
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}).encode()
    begun = time.monotonic()
    try:
        _get(f"{served}/chat/completions", headers, None, limit_s, body)
    except urllib.error.HTTPError as error:
        words = _words(error)
        _check_key(served, variable, words, error.code)
        raise FmloadError(f"{served}/chat/completions refuses a request to {model} ({words})",
                          hint="is the path right (…/v1), and is the model a chat model that it serves?",
                          exit_code=EXIT_INVALID) from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(getattr(error, "reason", error), TimeoutError):
            return None
        raise _unreached(served, error, limit_s) from error
    except ValueError as error:
        raise FmloadError(f"{served}/chat/completions: {error}", exit_code=EXIT_INVALID) from error
    return time.monotonic() - begun


def _authorization(variable: str | None) -> dict[str, str]:
    """The header with the key that the variable holds; servers and proxies that echo the key are not quoted with it."""
    key = os.environ.get(variable, "").strip() if variable else ""
    protect(key)
    return {"Authorization": f"Bearer {key}"} if key else {}


def _get(url: str, headers: Mapping[str, str], ca_file: str | None, limit_s: float,
         body: bytes | None = None) -> bytes:
    if (proxy := of_environment(url)) is not None:
        return proxied.fetch(url, Way(ca_file, proxy=proxy), headers, limit_s, body)
    direct = urllib.request.ProxyHandler({})  # it would read the variables in a way of its own
    trusted = urllib.request.HTTPSHandler(context=client_context(ca_file, verify=True))
    opener = urllib.request.build_opener(direct, trusted)
    with opener.open(urllib.request.Request(url, body, dict(headers)), timeout=limit_s) as response:
        if (landed := response.geturl()) != url:
            raise proxied.Redirected(landed)
        answer: bytes = response.read()
    return answer


def _models(body: bytes) -> tuple[Model, ...]:
    """Raises ValueError for a body that is no list of models."""
    try:
        listed = json.loads(body)
    except ValueError as error:
        raise ValueError(f"it says {' '.join(body[:60].decode(errors='replace').split())!r}") from error
    entries = listed.get("data", listed.get("models")) if isinstance(listed, dict) else listed
    if not isinstance(entries, list):
        raise ValueError(f"it says {body[:60].decode(errors='replace')!r}")
    named = [(entry, entry.get("id") or entry.get("name")) for entry in entries if isinstance(entry, dict)]
    return tuple(Model(str(name), _context(entry)) for entry, name in named if name)


def _context(entry: Mapping[str, Any]) -> int | None:
    """vLLM and SGLang: max_model_len; llama.cpp: meta.n_ctx; others: context_length, context_window."""
    meta = entry.get("meta")
    found = [entry.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, dict) else None,
             entry.get("context_length"), entry.get("context_window")]
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def _refused(url: str, variable: str | None, error: urllib.error.HTTPError) -> Served:
    words = _words(error)
    _check_key(url, variable, words, error.code)
    if error.code in (404, 405, 501):
        return Served(url)
    raise FmloadError(f"{url}/models: {words}", hint="is the server still starting? try again once it is up",
                      exit_code=EXIT_INVALID)


def _words(error: urllib.error.HTTPError) -> str:
    said = redacted(error_message(error.read(4096)))
    return f"HTTP {error.code}{f': {said}' if said else ''}"


def _check_key(url: str, variable: str | None, words: str, code: int) -> None:
    """Raises FmloadError where a status is about the key."""
    if code in (401, 403) and variable is None:
        raise FmloadError(f"{url} wants an API key ({words})",
                          hint=f"export {DEFAULT_KEY}=…, or name the variable that holds it: --api-key-env MY_KEY",
                          exit_code=EXIT_INVALID)
    if code in (401, 403):
        raise FmloadError(f"{url} refuses the key in {variable} ({words})",
                          hint="is it this server's key? another variable: --api-key-env MY_KEY",
                          exit_code=EXIT_INVALID)


def _unreached(url: str, error: Exception, limit_s: float) -> FmloadError:
    reason = getattr(error, "reason", error)
    where = urlsplit(url).netloc.rpartition("@")[2]
    what, hint = _why(url, where, reason, limit_s)
    return Unreached(what, hint=hint, exit_code=EXIT_INVALID)


def _why(url: str, where: str, reason: object, limit_s: float) -> tuple[str, str]:
    """What is wrong, and the remedy."""
    plain = url.replace("https://", "http://", 1)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (f"{where}: its TLS certificate is not trusted: {reason.verify_message or reason}",
                "name the certificate that signed it: --ca-file FILE (in a run file: ca_file)")
    if isinstance(reason, ssl.SSLError):
        return f"{where} does not speak TLS: {reason.reason or reason}", f"is it plain HTTP? write {plain}"
    if isinstance(reason, ConnectionRefusedError):
        return f"nothing answers at {where}: connection refused", "is the server up, and is this its port?"
    if isinstance(reason, socket.gaierror):
        return f"there is no host '{where}': {reason.strerror}", "is its name written as it should be?"
    if isinstance(reason, TimeoutError):
        return (f"{where} does not answer within {limit_s:g} s",
                "is it up, and may this host reach it (firewall, security group, VPN)?"
                + (f" Where it speaks plain HTTP, write {plain}" if plain != url else ""))
    if isinstance(reason, http.client.HTTPException | ConnectionResetError):
        return (f"{where} does not speak plain HTTP: {reason or type(reason).__name__}",
                f"is it TLS? write https://{url.partition('://')[2]}")
    return f"{where} cannot be reached: {getattr(reason, 'strerror', None) or reason}", "is its address right?"


def choose(served: Served, wanted: str | None) -> str:
    """The model to ask for: the one wanted, which must be among those listed; else the first of a few.

    Raises FmloadError, with what there is.
    """
    names = served.names()
    more = len(names) - MOST_MODELS
    some = ", ".join(names[:MOST_MODELS]) + (f", and {more} more" if more > 0 else "")
    if wanted is not None:
        if names and wanted not in names:
            raise FmloadError(f"{served.url} serves no model '{wanted}'{did_you_mean(wanted, names)}",
                              hint=f"it serves {some}", exit_code=EXIT_INVALID)
        return wanted
    if not names:
        raise FmloadError(f"{served.url} does not say which models it serves",
                          hint="is the path right (…/v1)? else name the model: --model NAME", exit_code=EXIT_INVALID)
    if len(names) > MOST_MODELS:
        raise FmloadError(f"{served.url} serves {len(names)} models; which one?", hint=f"--model NAME; it has {some}")
    return names[0]
