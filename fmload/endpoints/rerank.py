"""Rankings of documents by a query, over HTTP: Cohere's form (Jina, vLLM, llama.cpp …), Voyage's, and TEI's own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fmload.config.schema import EndpointSpec
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.input_forms import FORMS, InputsCodec


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: rerank`."""

    api: Literal["cohere", "voyage", "tei"] = Field(
        "cohere", description="cohere: what Cohere, Jina, vLLM and llama.cpp take (/v1/rerank, or the url's /v2); "
                              "voyage: Voyage's; tei: /rerank of TEI")


def _codec(spec: EndpointSpec) -> InputsCodec:
    return InputsCodec(spec.name, f"{spec.options.api}_rerank", spec.parameters,
                       model=None if spec.options.api == "tei" else spec.model)


def _path(base: str, spec: EndpointSpec) -> str:
    form = FORMS[f"{spec.options.api}_rerank"]
    return base if base.endswith(form.path) else (base or form.base) + form.path


RERANK = HttpProtocol(Options, _codec, _path, BASE_PATH="/v1", STREAMS=False, MAKES="rankings")
