"""What the answers of an endpoint are, told from its entry, read or not."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.config.abilities import made_by
from fmload.config.beside import is_beside
from fmload.config.schema import EndpointSpec

SAGEMAKER = {"protocol": "sagemaker", "endpoint_name": "e", "region": "us-east-1"}
BEDROCK = {"protocol": "bedrock", "region": "us-east-1"}


@pytest.mark.parametrize(("keys", "made"), [
    ({"protocol": "openai", "url": "http://h"}, "text"), ({"protocol": "embeddings", "url": "http://h"}, "vectors"),
    ({"protocol": "rerank", "url": "http://h"}, "rankings"), ({"protocol": "images", "url": "http://h"}, "images"),
    ({"protocol": "speech", "url": "http://h"}, "sound"), ({**SAGEMAKER, "payload_format": "tgi"}, "text"),
    ({**SAGEMAKER, "payload_format": "tei_embed"}, "vectors"),
    ({**SAGEMAKER, "payload_format": "tei_rerank"}, "rankings"),
    ({**SAGEMAKER, "payload_format": "openai_speech"}, "sound"),
    ({**BEDROCK, "model": "amazon.titan-embed-text-v2:0"}, "vectors"),
    ({**BEDROCK, "model": "cohere.rerank-v3-5:0"}, "rankings"),
    ({**BEDROCK, "model": "amazon.nova-canvas-v1:0"}, "images"),
    ({**BEDROCK, "model": "amazon.nova-lite-v1:0"}, "text"),
    ({**BEDROCK, "model": "arn:aws:bedrock:us-east-1:1:provisioned-model/x", "api": "invoke", "family": "cohere_embed"},
     "vectors")])
def test_what_answers_are_is_told_by_the_keys_of_an_endpoint(keys: dict[str, Any], made: str) -> None:
    entry = {"name": "e", "model": "m", **keys}
    spec = EndpointSpec.model_validate(entry)
    assert (made_by(entry), made_by(spec), is_beside(spec)) == (
        made, made, made in ("vectors", "rankings"))


def test_a_protocol_that_does_not_say_or_is_not_known_makes_text() -> None:
    assert made_by({"protocol": "triton"}) == made_by({"protocol": "unheard"}) == made_by({}) == "text"
