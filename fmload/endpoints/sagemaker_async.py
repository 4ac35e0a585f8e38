"""SageMaker's asynchronous endpoints: InvokeEndpointAsync names a place in S3, where the answer is looked for until it
is there.

The answer is the container's, so that its bodies are made and read as those of an endpoint that answers at once; here
is only the way. Nobody tells when the answer came to lie there: it was between two looks, of which the record keeps
both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from gevent import GreenletExit

from fmload.base.errors import FmloadError
from fmload.config.asynchronous import Asynchronous
from fmload.config.schema import EndpointSpec
from fmload.endpoints import aws, s3_objects
from fmload.endpoints.aws_errors import failure_of_model
from fmload.endpoints.s3_objects import S3Objects
from fmload.model.outcome import Failure
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire import botocore_transport
from fmload.wire.exchange import Address, Exchange, Wire

MOST_INLINE_BYTES = 128_000
OPERATION = "InvokeEndpointAsync"
# Of InvokeEndpoint's arguments those that an asynchronous endpoint takes, too.
_SHARED = ("EndpointName", "ContentType", "Accept", "CustomAttributes", "InferenceId", "Body")
_LOOKS_A_FAILURE = 4  # at the place of the answer, for one at that of a failure, which has no latency
_ABSENT, _DENIED = 404, 403
_NS, _NS_A_MS = 1e9, 1e6


class Inner(Protocol):
    """An endpoint that answers at once, whose bodies an asynchronous one has."""

    name: str

    def addresses(self) -> list[Address]: ...

    def arguments(self, prompt: Prompt) -> dict[str, Any]: ...

    def read(self, exchange: Exchange) -> Reading: ...


class AsyncEndpoint:
    """One asynchronous endpoint, around what makes and reads its bodies."""

    streamed = False

    def __init__(self, spec: EndpointSpec, client: Any, inner: Inner) -> None:
        """Raises FmloadError for arguments that the service does not take."""
        self.name, self._spec, self._inner = inner.name, spec, inner
        self._asked: Asynchronous = spec.options.asynchronous
        self._invoke = client.invoke_endpoint_async
        self._objects = S3Objects(spec, self._asked.s3_url or (spec.url if spec.emulated is not None else None))
        limits = {"RequestTTLSeconds": self._asked.queue_timeout_s,
                  "InvocationTimeoutSeconds": self._asked.invocation_timeout_s}
        self._limits = {name: round(limit_s) for name, limit_s in limits.items() if limit_s is not None}
        self._check(client)

    def _check(self, client: Any) -> None:
        known = client.meta.service_model.operation_model(OPERATION).input_shape.members
        if self._asked.input is None and "Body" not in known:
            raise FmloadError(f"endpoint '{self.name}': this boto3 cannot send an asynchronous endpoint its input in "
                              "the request", hint="pip install -U boto3; or name a place: asynchronous: {input: s3://…}")
        arguments = self._arguments(Prompt("sample", "sample", "hello"))
        aws.check_arguments(self.name, client, OPERATION, self._placed(arguments, "sample")[0])

    def _arguments(self, prompt: Prompt) -> dict[str, Any]:
        made = self._inner.arguments(prompt)
        return {**{name: made[name] for name in _SHARED if name in made}, **self._limits}

    def _placed(self, arguments: dict[str, Any], name: str) -> tuple[dict[str, Any], bytes | None]:
        """The arguments, and what is to be put into S3 before: nothing where the input goes in the request."""
        if self._asked.input is None:
            return arguments, None
        body = arguments.pop("Body")
        return {**arguments, "InputLocation": f"{self._asked.input.rstrip('/')}/{name}"}, body

    def addresses(self) -> list[Address]:
        return self._inner.addresses()

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange:
        arguments, body = self._placed(self._arguments(prompt), request_id)
        if self._spec.options.inference_id:
            arguments["InferenceId"] = request_id
        notes: dict[str, Any] = {}
        if body is not None:
            put = self._objects.put(wire, arguments["InputLocation"], body, arguments["ContentType"])
            put.failure = s3_objects.refusal(put, arguments["InputLocation"])
            if put.failure is not None:
                return put
            notes["upload_ms"] = _lasted_ms(put)
        header = self._spec.request_id_header
        accepted = botocore_transport.exchange(self._invoke, arguments, wire, address, lambda _: False,
                                               {header: request_id} if header else {})
        if accepted.failure is not None or accepted.status is None or accepted.status >= 300:
            return accepted
        accepted.notes = {**notes, "accepted_ms": _lasted_ms(accepted)}
        return _Wait(self._objects, wire, accepted, self._asked.poll_s).end()

    def read(self, exchange: Exchange) -> Reading:
        reading = self._inner.read(exchange)
        reading.deferred = True
        reading.detail = {**reading.detail, **exchange.notes}
        return reading

    def carries_token(self, body: bytes) -> bool:
        """Never: the answer is fetched whole."""
        return False

    def expects(self, prompt: Prompt) -> Any:
        """What the answer to a prompt has to be; None for one that generates text."""
        expects = getattr(self._inner, "expects", None)
        return None if expects is None else expects(prompt)

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt that cannot be asked in the container's form, or is too long for it."""
        if (check := getattr(self._inner, "check", None)) is not None:
            check(prompt)
        size = 0 if self._asked.input is not None else len(self._inner.arguments(prompt)["Body"])
        if size > MOST_INLINE_BYTES:
            raise FmloadError(f"prompt set '{prompt.prompt_set}', endpoint '{self.name}': an input of {size:,} bytes, "
                              f"and an asynchronous request takes {MOST_INLINE_BYTES:,}",
                              hint="name a place for inputs: asynchronous: {input: s3://bucket/prefix}")


class _Wait:
    """The wait for one answer, from the moment at which the request was accepted."""

    def __init__(self, objects: S3Objects, wire: Wire, accepted: Exchange, poll_s: float) -> None:
        self._objects, self._wire, self._accepted, self._poll_s = objects, wire, accepted, poll_s
        self._sent_ns = accepted.send_ns or 0
        self._absent_ns = self._sent_ns  # when it certainly was not there
        self._looks, self._trouble = 0, ""

    def end(self) -> Exchange:
        """The answer; or the acceptance, with what became of it."""
        place = self._accepted.headers.get("x-amzn-sagemaker-outputlocation")
        if place is None:
            return self._failed(Failure("decode", "the service named no place for the answer (OutputLocation)"))
        try:
            return self._look_for(place, self._accepted.headers.get("x-amzn-sagemaker-failurelocation"))
        except ValueError as error:
            return self._failed(Failure("decode", str(error)))
        except GreenletExit:
            self._wire.partial()  # of the look that was under way
            return self._failed(Failure("cancelled", "the user was stopped before the answer was there"))

    def _look_for(self, place: str, failures: str | None) -> Exchange:
        limit_s = self._wire.timeouts.total_s
        limit_ns, now_ns = self._sent_ns + round(limit_s * _NS), self._accepted.end_ns or self._sent_ns
        while now_ns < limit_ns:
            self._wire.pause(min(self._poll_s, (limit_ns - now_ns) / _NS))
            found = self._look(place)
            if s3_objects.is_whole(found):
                return self._answer(found)
            now_ns = found.end_ns or limit_ns
            if found.status == _DENIED:
                return self._failed(_not_allowed(found, place), now_ns)
            if failures is not None and (self._looks % _LOOKS_A_FAILURE == 0 or now_ns >= limit_ns):
                told = self._objects.get(self._wire, failures)
                if s3_objects.is_whole(told):
                    return self._failed(failure_of_model(told.body), told.end_ns)
        what = f"no answer at {place} within {limit_s:g} s{self._trouble}"
        return self._failed(Failure("timeout_total", what), now_ns)

    def _look(self, place: str) -> Exchange:
        found, self._looks = self._objects.get(self._wire, place), self._looks + 1
        wrong = s3_objects.refusal(found, place)
        if found.status == _ABSENT:
            self._absent_ns, self._trouble = found.send_ns or self._absent_ns, ""
        elif wrong is not None:  # it may be there: looked for again
            self._trouble = f"; the last look failed: {wrong.message}"
        return found

    def _answer(self, found: Exchange) -> Exchange:
        accepted = self._accepted
        return replace(
            found, address=accepted.address, send_ns=accepted.send_ns, connected_ns=accepted.connected_ns,
            headers_ns=accepted.headers_ns, reused=accepted.reused, headers={**accepted.headers, **found.headers},
            notes={**accepted.notes, "looks": self._looks,
                   "absent_until_ms": round((self._absent_ns - self._sent_ns) / _NS_A_MS, 3)})

    def _failed(self, failure: Failure, end_ns: int | None = None) -> Exchange:
        """The acceptance, whose body is no answer."""
        accepted = self._accepted
        return replace(accepted, failure=failure, body=b"", marks=[], end_ns=end_ns or accepted.end_ns,
                       notes={**accepted.notes, "looks": self._looks})


def _not_allowed(found: Exchange, place: str) -> Failure:
    """S3 says so, too, of what is not there, to those who may not list."""
    wrong = s3_objects.refusal(found, place)
    return Failure("http_4xx", f"{wrong.message if wrong else place}; looking for an answer needs s3:GetObject, and "
                               "s3:ListBucket on its bucket while there is none")


def _lasted_ms(exchange: Exchange) -> float | None:
    if exchange.send_ns is None or exchange.end_ns is None:
        return None
    return round((exchange.end_ns - exchange.send_ns) / _NS_A_MS, 3)
