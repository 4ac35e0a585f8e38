"""What reaches Locust's web UI: requests of its own pages alone, and of the start form only what may be set there.

A page of any website can have a visitor's browser send a form to an address on his own computer (cross-site request
forgery), and by a name that it points there (DNS rebinding) read the answers, too. The browser then sends the name of
that site in `Origin`, `Sec-Fetch-Site` or `Host`, which no page can forge.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent
from flask import Request, Response, jsonify, request

from fmload.base.errors import FmloadError
from fmload.base.http_limits import MOST_BODY_BYTES, limit
from fmload.base.redaction import masked_url
from fmload.config.parameters import parameters_of

HOSTS_VARIABLE = "FMLOAD_WEB_HOSTS"
LOCKED = ("fmload_config", "fmload_out", "fmload_urls", "fmload_api_key_env", "fmload_prompts")
_LOCUSTS_OWN = ("user_count", "spawn_rate", "host", "user_classes", "shape_class", "run_time", "profile")
NO_KEY = "none is sent; --fmload-api-key-env on the command line names the variable that holds one"
_READING = ("GET", "HEAD", "OPTIONS")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FRAMES = {"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'",
           "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


@dataclass(frozen=True, slots=True)
class Names:
    """Names under which the web UI may be asked for. `listens` is where it does; `added` are those of a proxy before
    it, from HOSTS_VARIABLE."""

    listens: str
    added: frozenset[str] = frozenset()

    def know(self, name: str | None) -> bool:
        """Whether a host name is one of them. Where it listens to other hosts, every literal address is: a name is
        what an attacker's site needs."""
        if not name:
            return False
        if name in self.added or name in _LOOPBACK or name == self.listens:
            return True
        if self.listens in _LOOPBACK:
            return False
        return _is_address(name) or name == socket.gethostname().lower()


def names_of(listens: str) -> Names:
    """Of a web UI that listens there, with those in the environment."""
    added = os.environ.get(HOSTS_VARIABLE, "").lower().replace(",", " ").split()
    return Names(listens.lower(), frozenset(added))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host_of(authority: str) -> str | None:
    try:
        return urlsplit(f"//{authority}").hostname
    except ValueError:
        return None


def foreign(asked: Request, names: Names) -> str | None:
    """Why a request is none of the UI's own pages; None when it is one."""
    if not names.know(_host_of(asked.host)):
        return (f"the web UI does not know itself under the name '{asked.host[:100]}'; where a proxy gives it that "
                f"name, put it into {HOSTS_VARIABLE}")
    for header in ("Origin", "Referer") if asked.method not in _READING else ("Origin",):
        if (source := asked.headers.get(header)) is not None:
            return None if _is_own(source, asked, names) else f"the request comes from another site ({header})"
    site, goal = asked.headers.get("Sec-Fetch-Site", ""), asked.headers.get("Sec-Fetch-Dest", "")
    if site in ("cross-site", "same-site") and not (asked.method in _READING and goal == "document"):
        return "the request comes from another site (Sec-Fetch-Site)"
    return None


def _is_own(source: str, asked: Request, names: Names) -> bool:
    try:
        parts = urlsplit(source)
    except ValueError:
        return False
    own = parts.netloc.lower() == asked.host.lower() or (parts.hostname or "") in names.added
    return parts.scheme in ("http", "https") and own


def _variable(name: str) -> str:
    return f"{name} names a variable, which the command line or a run file alone may do"


def _wrong_parameters(text: str) -> str | None:
    """As they will be read: escapes may stand for the characters of a variable's name."""
    try:
        return _variable("fmload_parameters") if "${" in str(parameters_of(text)) else None
    except FmloadError as error:
        return str(error).partition("\n")[0]


class Guard:
    """Of one process's web UI. `options` are Locust's parsed options, `host` the one of the command line; `shown` are
    the fields of the start form. `keyed` tells whether credentials go with the requests."""

    def __init__(self, options: Any, host: str | None, shown: Callable[[], Mapping[str, Any]], keyed: bool) -> None:
        self.names = names_of(options.web_host or "")
        self._options = options
        self._given_host = host
        self._shown = shown
        self._keyed = keyed

    def install(self, web_ui: Any) -> None:
        """Stand before every request; take Locust's permission for other sites to read from every answer."""
        app = web_ui.app
        app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
        gevent.spawn(_limit_once_there, web_ui)
        app.before_request_funcs.setdefault(None, []).insert(0, self._before)
        app.after_request_funcs.setdefault(None, []).insert(0, _closed)  # the first one is called last

    def _before(self) -> Response | None:
        if (why := foreign(request, self.names)) is not None:
            return _refused(why)
        if request.method == "POST" and request.path.endswith(("/swarm", "/fmload/try")):
            problem = self.wrong(request.form)
            return None if problem is None else _refused(problem, 200 if _by_own_page(request) else 403)
        return None

    def wrong(self, form: Mapping[str, str]) -> str | None:
        """Why a start form may not be taken; None when it may."""
        options, settable = vars(self._options), {*_LOCUSTS_OWN, *self._shown()} - set(LOCKED)
        for name, value in form.items():
            if name not in settable and name in options and value != _text(options[name]):
                return f"{name} is set on the command line or by the environment alone"
            if "${" in value:
                return _variable(name)
        return _wrong_parameters(form.get("fmload_parameters", "")) or self._wrong_host(form.get("host", ""))

    def _wrong_host(self, host: str) -> str | None:
        if not self._keyed or not host or self._options.fmload_config or self._options.fmload_urls:
            return None
        if self._given_host is None:
            return "a key is only sent to the host that it was given for: give --host on the command line, too"
        if _address(host) not in (_address(self._given_host), _address(masked_url(self._given_host))):
            return f"a key is only sent to the host that it was given for, {masked_url(self._given_host)}"
        return None

    def host(self, asked: str | None) -> str | None:
        """The host to load: what is asked for, with the user and password of the command line where it is that one."""
        if asked and self._given_host and asked == masked_url(self._given_host):
            return self._given_host
        return asked

    def settings(self) -> list[dict[str, str]]:
        """What the start form does not set, for people to read: what is set, and where a key comes from."""
        shown = [{"name": f"--{name.replace('_', '-')}", "value": ", ".join(map(masked_url, str(value).split(",")))}
                 for name in LOCKED if (value := getattr(self._options, name, None))]
        return shown if self._keyed else [*shown, {"name": "API key", "value": NO_KEY}]


def _limit_once_there(web_ui: Any) -> None:
    while web_ui.server is None:  # Locust makes it in a greenlet of its own
        gevent.sleep(0.05)
    limit(web_ui.server)


def _address(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        return "", url, None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _by_own_page(asked: Request) -> bool:
    """Whether the UI's own page sent it, whose script shows the message of a 200 alone."""
    return asked.headers.get("Sec-Fetch-Site") == "same-origin"


def _refused(why: str, status: int = 403) -> Response:
    answer: Response = jsonify({"success": False, "message": why})
    answer.status_code = status
    return answer


def _closed(response: Response) -> Response:
    for name in [name for name, _ in response.headers if name.lower().startswith("access-control-")]:
        response.headers.pop(name)
    response.headers.update(_FRAMES)
    return response
