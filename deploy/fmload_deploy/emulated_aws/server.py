"""The WSGI application: moto's, with our layers, and with faults that tests ask for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from fmload_deploy.emulated_aws import bedrock, sagemaker, service_quotas, ssm

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


def application() -> Wsgi:
    """The application, layers applied."""
    for layer in (sagemaker, bedrock, ssm, service_quotas):
        layer.apply()
    return Faults(DomainDispatcherApplication(create_backend_app))


class Faults:
    """Answers the next calls of an action with an error of AWS's, as `POST /fmload/faults` asks.

    Its body: `{"action": "CreateEndpoint", "code": "ResourceLimitExceeded", "message": …, "status": 400, "times": 1}`;
    action `*` is any. `GET /fmload/calls` lists the actions called so far.
    """

    def __init__(self, inner: Wsgi) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._faults: list[dict[str, Any]] = []
        self._calls: list[str] = []

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/fmload/faults":
            with self._lock:
                self._faults.append(json.loads(_body(environ)))
            return _answer(start, "200 OK", "application/json", "{}")
        if path == "/fmload/calls":
            return _answer(start, "200 OK", "application/json", json.dumps(self._calls))
        action = _action(environ)
        with self._lock:
            self._calls.append(action)
            fault = self._take(action)
        return self._inner(environ, start) if fault is None else _fail(environ, start, fault)

    def _take(self, action: str) -> dict[str, Any] | None:
        for fault in self._faults:
            if fault["action"] in ("*", action) and fault["times"] > 0:
                fault["times"] -= 1
                return fault
        return None


def _action(environ: Environ) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rpartition(".")[2]
    if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        return parse_qs(_body(environ).decode()).get("Action", [""])[0]
    return f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"


def _body(environ: Environ) -> bytes:
    """The request's body, left in place for whoever reads it next."""
    import io
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _fail(environ: Environ, start: StartResponse, fault: dict[str, Any]) -> Iterable[bytes]:
    status, code, message = f"{fault.get('status', 400)} Error", fault["code"], fault.get("message", "")
    if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if "Version=2016-11-15" in _body(environ).decode():  # EC2 wraps differently from the other query services
            return _answer(start, status, "text/xml", f"<Response><Errors>{error}</Errors></Response>")
        return _answer(start, status, "text/xml", f"<ErrorResponse>{error}</ErrorResponse>")
    return _answer(start, status, "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}),
                   [("x-amzn-errortype", code)])


def _answer(start: StartResponse, status: str, kind: str, body: str,
            headers: Iterable[tuple[str, str]] = ()) -> Iterable[bytes]:
    data = body.encode()
    start(status, [("Content-Type", kind), ("Content-Length", str(len(data))), *headers])
    return [data]
