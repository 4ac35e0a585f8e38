"""The WSGI application: moto's, with our layers, and with what tests and scenarios have it do wrong."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from fmload_deploy.emulated_aws import authorization, bedrock, ec2, eks, sagemaker, service_quotas, ssm
from fmload_deploy.emulated_aws.clock import Clock
from fmload_deploy.emulated_aws.scenario import IN_FORCE, LATE, Fault

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]
_NOTHING = ('<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
            "<reservationSet/></DescribeInstancesResponse>")


def application() -> Wsgi:
    """The application, layers applied."""
    for layer in (sagemaker, bedrock, eks, ssm, service_quotas, ec2):
        layer.apply()
    return Misbehaving(DomainDispatcherApplication(create_backend_app))


class Misbehaving:
    """Passes calls on, unless a rule of the scenario or the policy in force has it do otherwise.

    `POST /fmload/scenario` adds a rule (see scenario.py), `DELETE /fmload/scenario` drops all, the policy and the
    clock's advance, too; `POST /fmload/faults`
    adds `{"action", "code", "message", "status", "times"}`. `POST /fmload/clock` (`{"advance_s": N}`) lets time pass.
    `POST /fmload/policy` allows what a policy allows and nothing else (`null`: everything). `GET /fmload/calls` lists
    the actions called so far, `GET /fmload/actions` their IAM actions.
    """

    def __init__(self, inner: Wsgi) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._calls: list[str] = []
        self._actions: set[str] = set()
        self._unknown: dict[str, int] = {}  # by action: how many more calls do not know of what was made
        self._names: dict[str, str] = {}
        self._tokens: dict[str, bytes] = {}
        self._policy: Mapping[str, Any] | None = None
        self._clock = Clock()

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/fmload/"):
            return self._control(environ, start, path.removeprefix("/fmload/"))
        action, body = _action(environ), _body(environ)
        with self._lock:
            self._calls.append(action)
            fault = (self._forbidden(environ, action) or IN_FORCE.take(action, _zone(action, body))
                     or self._not_known(action) or self._mismatch(action, body))
            if fault is None:
                self._note_lag(action, body)
        if fault is None and action == "SimulatePrincipalPolicy":
            return _answer(start, "200 OK", "text/xml", authorization.simulated(self._policy, parse_qs(body.decode())))
        if fault is None:
            return self._inner(environ, start)
        if fault.code == "":
            return _answer(start, "200 OK", "text/xml", _NOTHING)
        return _fail(environ, start, fault)

    def _control(self, environ: Environ, start: StartResponse, what: str) -> Iterable[bytes]:
        asked = json.loads(_body(environ) or "null")
        told: Any = {}
        if what == "clock":
            told = self._clock.advance(float(asked["advance_s"]), f"http://{environ['HTTP_HOST']}")
        with self._lock:
            if what == "faults":
                IN_FORCE.faults.append(Fault(**asked))
            elif what == "scenario" and environ["REQUEST_METHOD"] == "DELETE":
                for rules in (IN_FORCE.faults, IN_FORCE.lags, IN_FORCE.starts, IN_FORCE.quotas, self._unknown):
                    rules.clear()
                self._clock.ahead_s, self._policy = 0.0, None
            elif what == "scenario":
                IN_FORCE.add(asked)
            elif what == "policy":
                self._policy = asked
            elif what == "calls":
                told = self._calls
            elif what == "actions":
                told = sorted(self._actions)
        return _answer(start, "200 OK", "application/json", json.dumps(told))

    def _forbidden(self, environ: Environ, action: str) -> Fault | None:
        name = authorization.action_of(environ.get("HTTP_AUTHORIZATION", ""), action, environ["REQUEST_METHOD"],
                                       unquote(environ.get("PATH_INFO", "")), environ.get("QUERY_STRING", ""))
        scheduler = "Credential=scheduler/" in environ.get("HTTP_AUTHORIZATION", "")
        if not scheduler:
            self._actions.add(name)
        if self._policy is None or scheduler or authorization.allowed(self._policy, name):
            return None
        return Fault(action, "AccessDeniedException", f"User is not authorized to perform: {name}", 403)

    def _note_lag(self, action: str, body: bytes) -> None:
        """What this call makes is unknown for a while to the next calls that want it."""
        if action in IN_FORCE.lags and action in LATE:
            self._unknown[LATE[action][0]] = IN_FORCE.lags.pop(action)
            match = re.search(rb'"(?:ModelName|EndpointConfigName|EndpointName|InferenceComponentName|nodegroupName)": '
                              rb'"([^"]+)"', body)
            self._names[LATE[action][0]] = match[1].decode() if match else ""

    def _not_known(self, action: str) -> Fault | None:
        if self._unknown.get(action, 0) <= 0:
            return None
        self._unknown[action] -= 1
        code, words = next((code, words) for late, code, words in LATE.values() if late == action)
        return Fault(action, code, words.format(name=self._names.get(action, "")))

    def _mismatch(self, action: str, body: bytes) -> Fault | None:
        """EC2 refuses a token that it knows with other parameters."""
        token = parse_qs(body.decode(errors="replace")).get("ClientToken", [""])[0] if action == "RunInstances" else ""
        if not token or self._tokens.setdefault(token, body) == body:
            return None
        return Fault(action, "IdempotentParameterMismatch", "The token was used before with other parameters.")


def _zone(action: str, body: bytes) -> str | None:
    """The availability zone in which instances are to be started; None where the call does not say."""
    if action != "RunInstances":
        return None
    match = re.search(r"SubnetId=(subnet-\w+)", body.decode(errors="replace"))
    for backends in ec2_backends.values():
        for backend in backends.values():
            for zone, subnets in backend.subnets.items():
                if match is not None and match[1] in subnets:
                    return str(zone)
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
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _fail(environ: Environ, start: StartResponse, fault: Fault) -> Iterable[bytes]:
    status, code, message = f"{fault.status} Error", fault.code, fault.message
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
