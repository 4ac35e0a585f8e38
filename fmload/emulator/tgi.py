"""TGI's own paths: what SageMaker's containers speak as well, without the service around it."""

from __future__ import annotations

from collections.abc import Mapping

from fmload.emulator import openai, sagemaker
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Refusal, Request, Unfit, json_refusal
from fmload.emulator.plane import Opened, Plane, bearer_key
from fmload.emulator.settings import Settings

_PATHS = ("/generate", "/generate_stream", "/")  # the last: of both, by `stream`; its whole answer is a list
_KINDS = {400: "validation", 422: "validation", 424: "generation", 429: "overloaded", 503: "overloaded"}


def refusal(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
            outcome: str = "rejected") -> Refusal:
    """An error in TGI's shape."""
    return json_refusal(status, {"error": message, "error_type": _KINDS.get(status, "generation")}, headers, outcome)


def _open(request: Request, number: int, settings: Settings) -> Opened:
    body = openai.parse_json(request.body)
    if "inputs" not in body:
        raise Unfit("missing field `inputs`")
    ask = sagemaker.parse(body)
    if request.path != "/":
        ask.stream = request.path == "/generate_stream"
    dialect = sagemaker.TgiDialect(ask, body.get("parameters") or {}, lines=False, listed=request.path == "/")
    return Opened(ask, odd_of(request, settings, dialect))


PLANE = Plane("tgi", _PATHS.__contains__, _open, refusal, bearer_key, ping=b":\n\n")
