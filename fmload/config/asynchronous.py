"""Endpoints that take a request at once and put its answer somewhere: the key `asynchronous`."""

from __future__ import annotations

from pydantic import Field

from fmload.config.model import Strict
from fmload.config.values import Seconds


class Asynchronous(Strict):
    """How an asynchronous endpoint is asked, and its answers are looked for."""

    input: str | None = Field(
        None, pattern=r"^s3://[^/]+(/.*)?$", description="s3://bucket/prefix where each request's input is put before "
        "it is sent; default: the input goes in the request, which takes 128,000 bytes")
    poll_s: Seconds = Field(0.5, alias="poll", ge=0.01, description="time between two looks for an answer")
    invocation_timeout_s: Seconds | None = Field(
        None, alias="invocation_timeout", ge=1, le=3600, description="InvocationTimeoutSeconds; SageMaker's own: 15m")
    queue_timeout_s: Seconds | None = Field(
        None, alias="queue_timeout", ge=60, le=21600, description="RequestTTLSeconds; SageMaker's own: 6h")
    s3_url: str | None = Field(None, description="in place of S3's own address; of an emulated endpoint: its `url`")
