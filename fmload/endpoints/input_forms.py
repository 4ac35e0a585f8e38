"""The bodies of requests for embeddings and for a ranking: each server's and service's own, in one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fmload.base.errors import FmloadError
from fmload.endpoints.base import Made
from fmload.endpoints.inputs_answer import read_results, read_vectors
from fmload.model.prompt import Prompt
from fmload.model.reading import Expected, Reading
from fmload.wire.exchange import Exchange

Json = dict[str, Any]
EmbeddingForm = Literal["openai_embeddings", "cohere_embed", "tei_embed", "jumpstart_embed", "titan_embed"]
RerankForm = Literal["cohere_rerank", "voyage_rerank", "tei_rerank", "bedrock_rerank"]
InputForm = Literal[EmbeddingForm, RerankForm]
_TOP = ("top_n", "top_k")
_TYPE_NAMES = ("output_dtype", "embed_dtype")  # parameters that name the type of a vector's numbers: Voyage; vLLM
_LENGTHS = ("dimensions", "output_dimension")  # OpenAI, Titan and TEI; Cohere and Voyage
_BITS, _DIMENSIONS_A_BYTE = ("binary", "ubinary"), 8  # types of vectors that hold a dimension a bit
_NUMBER_BYTES = {"int8": 1, "uint8": 1, "float16": 2, "bfloat16": 2, "fp8_e4m3": 1, "fp8_e5m2": 1}  # else 4


@dataclass(frozen=True, slots=True)
class Form:
    """`body` makes a body of the inputs, the query (of a ranking) and the parameters. `path` is where it is posted,
    below `base` where the URL has no path. `most`: inputs that one request may have; None: the server decides."""

    what: Literal["vectors", "results"]
    body: Callable[[list[str], str, Json], Json]
    path: str = ""
    base: str = ""
    most: int | None = None


def _openai(inputs: list[str], query: str, parameters: Json) -> Json:
    return {**parameters, "input": inputs}


def _cohere(inputs: list[str], query: str, parameters: Json) -> Json:
    return {"input_type": "search_document", "embedding_types": ["float"], **parameters, "texts": inputs}


def _tei(inputs: list[str], query: str, parameters: Json) -> Json:
    return {**parameters, "inputs": inputs}


def _jumpstart(inputs: list[str], query: str, parameters: Json) -> Json:
    return {**parameters, "text_inputs": inputs}


def _titan(inputs: list[str], query: str, parameters: Json) -> Json:
    return {**parameters, "inputText": inputs[0]}


def _rank(inputs: list[str], query: str, parameters: Json) -> Json:
    return {**parameters, "query": query, "documents": inputs}


def _tei_rank(inputs: list[str], query: str, parameters: Json) -> Json:
    return {**parameters, "query": query, "texts": inputs}


def _bedrock_rank(inputs: list[str], query: str, parameters: Json) -> Json:
    """`top_n` is asked for, since Cohere's model and Amazon's answer with fewer by default."""
    return {"top_n": len(inputs), **parameters, "query": query, "documents": inputs}


def _cohere_rank_on_bedrock(inputs: list[str], query: str, parameters: Json) -> Json:
    return {"api_version": 2, **_bedrock_rank(inputs, query, parameters)}


def _asked_length(asked: Mapping[str, Any]) -> int | None:
    """Numbers in each vector, by the parameters; None where they do not say, or ask for vectors of several lengths."""
    told: int | None = next((asked[name] for name in _LENGTHS if isinstance(asked.get(name), int)), None)
    listed = asked.get("embedding_types")
    types = [asked.get(name) for name in _TYPE_NAMES] + (listed if isinstance(listed, list) else [])
    packed = {kind in _BITS for kind in types if kind is not None}
    if told is None or packed == {True, False}:
        return None
    return told // _DIMENSIONS_A_BYTE if packed == {True} else told


FORMS: Mapping[str, Form] = {
    "openai_embeddings": Form("vectors", _openai, "/embeddings", "/v1"),
    "cohere_embed": Form("vectors", _cohere, "/embed", "/v2", most=96),
    "tei_embed": Form("vectors", _tei, "/embed"),
    "jumpstart_embed": Form("vectors", _jumpstart),
    "titan_embed": Form("vectors", _titan, most=1),
    "cohere_rerank": Form("results", _rank, "/rerank", "/v1"),
    "voyage_rerank": Form("results", _rank, "/rerank", "/v1"),
    "tei_rerank": Form("results", _tei_rank, "/rerank"),
    "bedrock_rerank": Form("results", _bedrock_rank),
    "bedrock_cohere_rerank": Form("results", _cohere_rank_on_bedrock),
}
_OF_BEDROCK = ((r"amazon\.titan-embed-(text|g1)", "titan_embed"), (r"cohere\.embed-", "cohere_embed"),
               (r"cohere\.rerank-", "bedrock_cohere_rerank"), (r"amazon\.rerank-", "bedrock_rerank"))


def form_of_model(model: str) -> str | None:
    """The form that a model on Bedrock takes, told from its id, profile or ARN; None for one that generates text."""
    return next((form for pattern, form in _OF_BEDROCK if re.search(rf"(^|[./:]){pattern}", model)), None)


def made_in(form: str) -> Made:
    """What the answers in a form, by its name, are."""
    return "vectors" if FORMS[form].what == "vectors" else "rankings"


class InputsCodec:
    """How one endpoint is asked in one form, and what its answers have to hold. Pure."""

    def __init__(self, endpoint: str, form: str, parameters: Mapping[str, Any], dimension: int | None = None,
                 model: str | None = None) -> None:
        """`model` is sent where it is given; `dimension` is what every vector has to have, where that is known."""
        self._endpoint, self._form = endpoint, FORMS[form]
        self._fixed: Json = {**({} if model is None else {"model": model}), **parameters}
        self._dimension = dimension
        self._number_bytes = next((_NUMBER_BYTES[asked] for name in _TYPE_NAMES
                                   if (asked := str(self._fixed.get(name))) in _NUMBER_BYTES), 4)

    def body(self, prompt: Prompt) -> Json:
        """The JSON to send: the endpoint's parameters, and over them the prompt's."""
        query = (prompt.text or prompt.texts[0]) if self._form.what == "results" else ""
        return self._form.body(prompt.texts, query, {**self._fixed, **prompt.parameters})

    def read(self, exchange: Exchange) -> Reading:
        """The reading of a response of status 2xx."""
        if self._form.what == "vectors":
            return read_vectors(exchange, self._number_bytes)
        return read_results(exchange)

    def expects(self, prompt: Prompt) -> Expected:
        """What the answer to a prompt has to hold."""
        inputs, asked = len(prompt.texts), {**self._fixed, **prompt.parameters}
        if self._form.what == "results":
            limit = next((asked[name] for name in _TOP if isinstance(asked.get(name), int) and asked[name] > 0), inputs)
            return Expected("results", inputs, min(inputs, limit))
        return Expected("vectors", inputs, inputs, self._dimension or _asked_length(asked))

    def carries_token(self, body: bytes) -> bool:
        """Never: a whole answer has no tokens on the way."""
        return False

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt that cannot be asked in this form."""
        where = f"prompt set '{prompt.prompt_set}', endpoint '{self._endpoint}'"
        if self._form.what == "results" and (prompt.inputs is None or prompt.text is None):
            raise FmloadError(f"{where}: a ranking needs a query and documents",
                              hint="give the prompt set query_tokens and batch, or rows with query and documents")
        if self._form.what == "vectors" and prompt.inputs is not None and prompt.text is not None:
            raise FmloadError(f"{where}: embeddings have no query", hint="leave out query_tokens; or use a reranker")
        if self._form.most is not None and len(prompt.texts) > self._form.most:
            raise FmloadError(f"{where}: {len(prompt.texts)} inputs in a request; it takes {self._form.most} at most",
                              hint=f"give it so many at a time (batch: {self._form.most})" if self._form.most > 1
                              else "give it one at a time (without batch)")
