"""Odd forms of the protocols: each is read back to the truth by the product's readers."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
import pytest

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.emulator import openai, sagemaker
from fmload.emulator.bedrock import ConverseDialect, InvokeDialect
from fmload.emulator.bedrock_bodies import family_of
from fmload.emulator.dialect import Ask, Dialect, Usage
from fmload.emulator.odd import Form, Odd
from fmload.emulator.settings import parse_shape
from fmload.endpoints.bedrock import Bedrock
from fmload.endpoints.openai import OPENAI
from fmload.endpoints.sagemaker import SageMaker
from fmload.plugins import FORMS
from fmload.wire.exchange import Exchange
from fmload.worker.measure import outcome

TEXTS = [" one", " two", " three", " four", " five", " six"]
CLAUDE, MISTRAL = "anthropic.claude-haiku-4-5-20251001-v1:0", "mistral.mistral-7b-instruct-v0:2"
# The model whose own body a form is one of; Mistral's where it is one of all.
MODELS = {"first-token-without-text": "meta.llama3-1-8b-instruct-v1:0", "claude-refusal": CLAUDE,
          "claude-thinking": CLAUDE, "claude-tool-use": CLAUDE, "claude-counts-again": CLAUDE}


def forms(of: str) -> list[str]:
    return [name for name in FORMS.in_order() if FORMS.load(name).of == of]


pytestmark = pytest.mark.usefixtures("aws_environment")


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hidden"),
                        ("AWS_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)


def written(dialect: Dialect) -> list[bytes]:
    """The pieces of a whole answer of six tokens to a prompt of nine."""
    pieces = [dialect.opening(Usage(9, 0))]
    for number, text in enumerate(TEXTS, 1):
        finish = "stop" if number == len(TEXTS) and dialect.finish_with_last else None
        pieces.append(dialect.token(text, False, finish, Usage(9, number)))
    pieces.append(dialect.closing(None if dialect.finish_with_last else "stop", Usage(9, len(TEXTS))))
    return [*pieces, dialect.trailer()]


def exchange(pieces: list[bytes]) -> Exchange:
    return Exchange("a", status=200, body=b"".join(pieces), complete=True)


def dialect_of(name: str) -> Odd:
    asked = {"messages": [], "stream": True, "stream_options": {"include_usage": True}}
    ask = Ask(["x"], chat=True, stream=True)
    return Odd(openai.OpenAIDialect(ask, asked, 0, True, parse_shape("")), FORMS.load(name))


def spec(protocol: str, **keys: Any) -> EndpointSpec:
    return EndpointSpec.model_validate({"name": "e", "protocol": protocol, "model": "m", **keys})


def judged(endpoint: Any, name: str, pieces: list[bytes]) -> None:
    form: Form = FORMS.load(name)
    whole = exchange(pieces)
    reading = endpoint.read(whole)
    failure = outcome(whole, reading)
    assert (failure.outcome if failure else "ok") == form.outcome
    if form.told and form.outcome == "ok":
        assert (reading.input_tokens, reading.output_tokens) == (9, 6 * form.choices)
        known = form.spoken and reading.chunk_tokens_known
        assert sum(chunk.tokens for chunk in reading.chunks) == 6 * form.choices or not known
    elif form.outcome == "ok":
        assert reading.output_tokens in (None, 1)
    if form.spoken and form.outcome == "ok":
        assert len(reading.chunks) == (6 - form.hidden) * form.choices


@pytest.mark.parametrize("name", forms("chat"))
def test_every_form_of_openais_is_read_to_the_truth(name: str) -> None:
    judged(OPENAI.from_spec(spec("openai", url="http://h:1/v1")), name, written(dialect_of(name)))


@cache
def container() -> SageMaker:
    """Made once: what boto3 knows of a service takes it long to read."""
    return SageMaker.from_spec(spec("sagemaker", payload_format="openai", region="us-east-1"))


@pytest.mark.parametrize("name", forms("chat"))
def test_a_container_may_speak_every_form_too(name: str) -> None:
    judged(container(), name, written(sagemaker.PayloadParts(dialect_of(name), 17)))


@pytest.mark.parametrize("name", forms("converse"))
def test_every_form_of_converse_is_read_to_the_truth(name: str) -> None:
    endpoint = Bedrock.from_spec(spec("bedrock", region="us-east-1"))
    judged(endpoint, name, written(Odd(ConverseDialect(), FORMS.load(name))))


@pytest.mark.parametrize("name", [name for name in forms("invoke") if not FORMS.load(name).headers])
def test_every_form_of_an_invocation_is_read_to_the_truth(name: str) -> None:
    model = MODELS.get(name, MISTRAL)
    endpoint = Bedrock.from_spec(spec("bedrock", region="us-east-1", api="invoke", model=model))
    judged(endpoint, name, written(Odd(InvokeDialect(family_of(model, {})()), FORMS.load(name))))


@pytest.mark.parametrize("name", forms("container"))
def test_every_form_of_a_containers_lines_is_read_to_the_truth(name: str) -> None:
    path = {"payload_format": "template", "template": {"inputs": "$prompt"}, "answer_path": "$"}
    keys = path if name == "bare-text" else {"payload_format": "tgi"}
    endpoint = SageMaker.from_spec(spec("sagemaker", region="us-east-1", **keys))
    dialect = Odd(sagemaker.TgiDialect(Ask(["x"], stream=True), {}, lines=False), FORMS.load(name))
    judged(endpoint, name, written(sagemaker.PayloadParts(dialect, None)))


def test_a_whole_answer_has_the_headers_of_its_form() -> None:
    name = "headers-that-count-nothing"
    whole = Odd(InvokeDialect(family_of(MISTRAL, {})()), FORMS.load(name)).whole("a b", "", "stop", Usage(9, 2))
    endpoint = Bedrock.from_spec(spec("bedrock", region="us-east-1", api="invoke", model=MISTRAL, stream=False))
    headers = {name.lower(): value for name, value in whole.headers.items()}
    reading = endpoint.read(Exchange("a", status=200, headers=headers, body=whole.body, complete=True))
    assert (reading.input_tokens, reading.output_tokens, reading.failure) == (None, None, None)


def test_a_form_is_one_function_and_its_name_is_in_the_table() -> None:
    assert len(FORMS.names()) >= 60
    assert all(isinstance(FORMS.load(name), Form) for name in FORMS)
    with pytest.raises(FmloadError, match="unknown emulator dialect 'abortt'; did you mean 'abort'"):
        FORMS.load("abortt")


def test_a_whole_answer_has_the_form_too() -> None:
    whole = dialect_of("abort").whole("text", "", "stop", Usage(9, 6))
    assert orjson.loads(whole.body)["usage"]["completion_tokens"] == 6
