"""Paths to planes, and bodies of any form to an answer or a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.emulator import planes
from fmload.emulator.faults import Fault
from fmload.emulator.http import Refusal, Request
from fmload.emulator.plane import Opened
from fmload.emulator.profiles import PROFILES
from fmload.emulator.settings import Settings
from fmload.plugins import PLANES

PATHS = ["/v1/chat/completions", "/v1/completions", "/endpoints/e/invocations",
         "/endpoints/e/invocations-response-stream", "/model/m/converse", "/model/anthropic.x/invoke",
         "/model/meta.x/invoke", "/model/us.amazon.nova-x/invoke-with-response-stream", "/model/mistral.x/invoke"]
WORDS = ["messages", "prompt", "inputs", "parameters", "max_tokens", "stream", "stream_options", "content", "text",
         "system", "inferenceConfig", "maxTokens", "max_gen_len", "role", "min_tokens", "include_usage"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4))
SETTINGS = Settings(profile=PROFILES["instant"])


def open_body(path: str, body: bytes) -> Opened:
    plane = planes.plane_of(path)
    assert plane is not None
    return planes.open_request(plane, Request("POST", path, {"authorization": "x"}, body, 0), 0, SETTINGS)


@given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=5))
def test_a_body_of_any_form_is_understood_or_refused(path: str, body: dict[str, Any]) -> None:
    try:
        opened = open_body(path, json.dumps(body).encode())
    except Refusal as refusal:
        assert 400 <= refusal.status < 500
    else:
        assert opened.ask.max_tokens is None or opened.ask.max_tokens > 0


@given(st.sampled_from(PATHS), st.binary(max_size=40))
def test_a_body_that_is_no_json_is_refused(path: str, body: bytes) -> None:
    try:
        open_body(path, body)
    except Refusal as refusal:
        assert refusal.status == 400


@pytest.mark.parametrize(("path", "plane"), [
    *((path, "openai") for path in PATHS[:2]), ("/invocations", "openai"), ("/openai/v1/chat/completions", "openai"),
    ("/endpoints/e/openai/v1/chat/completions", "openai"), ("/endpoints/e/invocations", "sagemaker"),
    ("/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama/converse-stream", "bedrock"),
    ("/model/m", None), ("/v1/models", None)])
def test_paths_belong_to_planes(path: str, plane: str | None) -> None:
    found = planes.plane_of(path)
    assert (found.name if found else None) == plane


@pytest.mark.parametrize(("plane", "status", "code"), [
    ("sagemaker", 429, "ThrottlingException"), ("sagemaker", 503, "ServiceUnavailable"),
    ("bedrock", 503, "ServiceUnavailableException"), ("bedrock", 408, "ModelTimeoutException")])
def test_a_bare_status_has_awss_code(plane: str, status: int, code: str) -> None:
    refusal = planes.refuse(PLANES.load(plane), Fault("status", code=status))
    assert (refusal.status, refusal.headers["x-amzn-ErrorType"]) == (status, code)


def test_a_proxys_error_is_a_page() -> None:
    refusal = planes.refuse(PLANES.load("bedrock"), Fault("status", code=503, html=True))
    assert refusal.content_type == "text/html" and b"<h1>503" in refusal.body
