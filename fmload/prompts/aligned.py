"""Lengths as the server itself counts them (`align: server`), by `/tokenize` of vLLM and SGLang, llama.cpp, or TGI.

Texts are still made here, from the words and the vocabulary of the endpoint's `tokenizer`; only the count is the
server's, of a text alone or of a chat in the server's own template.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from fmload.base.errors import FmloadError
from fmload.config.secrets import resolved
from fmload.prompts.tokenizer import Message, Tokenizer
from fmload.wire.url import split_url

if TYPE_CHECKING:
    from fmload.config.schema import EndpointSpec, PromptSpec
    from fmload.model.prompt import Prompt

CONNECTIONS = 8
_TIMEOUT_S = 30.0
_COMPARED = 200  # prompts that are counted here, too
_MALFORMED = (ValueError, TypeError, KeyError, IndexError)

Post = Callable[[str, dict[str, Any]], Any]  # path and body to the reply's JSON


class Refused(Exception):
    """The server does not do this, or says something else."""


class Dialect(Protocol):
    """How one kind of server counts. Both raise Refused or one of _MALFORMED when it does not."""

    def __init__(self, post: Post, model: dict[str, str]) -> None: ...

    def count(self, text: str) -> int: ...

    def chat_count(self, messages: Sequence[Message]) -> int: ...


class _VLLM:
    """vLLM, SGLang (which counts texts alone) and the emulator."""

    def __init__(self, post: Post, model: dict[str, str]) -> None:
        self._post, self._model = post, model

    def count(self, text: str) -> int:
        return int(self._post("/tokenize", {**self._model, "prompt": text, "add_special_tokens": False})["count"])

    def chat_count(self, messages: Sequence[Message]) -> int:
        body = {**self._model, "messages": list(messages), "add_generation_prompt": True}
        return int(self._post("/tokenize", body)["count"])


class _LlamaCpp:
    """llama.cpp's own server."""

    def __init__(self, post: Post, model: dict[str, str]) -> None:
        self._post = post

    def count(self, text: str) -> int:
        return self._tokens(text, chat=False)

    def chat_count(self, messages: Sequence[Message]) -> int:
        return self._tokens(self._post("/apply-template", {"messages": list(messages)})["prompt"], chat=True)

    def _tokens(self, text: str, chat: bool) -> int:
        tokens = self._post("/tokenize", {"content": text, "add_special": chat, "parse_special": chat})["tokens"]
        if text and not tokens:  # what a server says that does not know `content`
            raise Refused("no tokens")
        return len(tokens)


class _TGI:
    """Hugging Face's text-generation-inference."""

    def __init__(self, post: Post, model: dict[str, str]) -> None:
        self._post, self._model = post, model

    def count(self, text: str) -> int:
        return len(_listed(self._post("/tokenize", {"inputs": text, "add_special_tokens": False})))

    def chat_count(self, messages: Sequence[Message]) -> int:
        reply = self._post("/chat_tokenize", {**self._model, "messages": list(messages)})
        return len(_listed(reply["tokenize_response"]))


_DIALECTS: tuple[type[Dialect], ...] = (_VLLM, _LlamaCpp, _TGI)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list of tokens")
    return value


class Aligned(Tokenizer):
    """Counts by a server; ids, texts and vocabulary are those of `local`. May be used by several threads."""

    remote = True

    def __init__(self, name: str, local: Tokenizer, post: Post, model: str | None = None) -> None:
        """Raises FmloadError when the server counts in no form that is known."""
        self.name, self.local = name, local
        self.identity = ""  # a server can change at any time: nothing that it counted is kept
        self._dialect = _dialect(post, {"model": model} if model else {})
        self._counted = lru_cache(256)(self._dialect.count)

    def encode(self, text: str) -> list[int]:
        return self.local.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self.local.decode(ids)

    def _ids(self) -> Iterable[int]:
        return self.local._ids()

    def count(self, text: str) -> int:
        return self._counted(text)

    def chat_count(self, messages: Sequence[Message]) -> int:
        """By the server's template; where the server counts no chats, its count of the texts and what the local
        tokenizer's template adds to them."""
        try:
            return self._dialect.chat_count(messages)
        except (Refused, *_MALFORMED):
            texts = [str(message.get("content") or "") for message in messages]
            added = self.local.chat_count(messages) - sum(map(self.local.count, texts))
            return added + sum(map(self.count, texts))


def _dialect(post: Post, model: dict[str, str]) -> Dialect:
    said = ""
    for kind in _DIALECTS:
        dialect = kind(post, model)
        try:
            if dialect.count("Which tokens are these?") > 0:
                return dialect
        except (Refused, *_MALFORMED) as error:
            said = said or str(error)
    raise FmloadError(f"align: the server counts no tokens: {said}",
                      hint="vLLM, SGLang, llama.cpp and TGI have /tokenize; `tokenize_url` names another address; "
                           "without `align` the endpoint's tokenizer counts")


def server_counts(spec: EndpointSpec) -> bool:
    """Whether the server of an endpoint counts tokens in a form that is known."""
    try:
        _dialect(_post_of(spec, tries=0), {"model": spec.model} if spec.model else {})
    except FmloadError:
        return False
    return True


def aligned(spec: EndpointSpec, name: str, local: Tokenizer) -> Aligned:
    """The counter of an endpoint with `align: server`. Raises FmloadError when its server does not count."""
    return Aligned(name, local, _post_of(spec), spec.model)


def _post_of(spec: EndpointSpec, tries: int = 2) -> Post:
    spec = resolved(spec)
    options = spec.options
    url = options.tokenize_url or _root((spec.urls or [spec.url or ""])[0])
    headers = {"Content-Type": "application/json", **spec.headers}
    if options.api_key_env and os.environ.get(options.api_key_env):
        headers["Authorization"] = f"Bearer {os.environ[options.api_key_env].strip()}"
    return _poster(url, headers, options.ca_file, options.verify_tls, tries)


def difference(spec: PromptSpec, prompts: Sequence[Prompt], local: Tokenizer) -> str:
    """The mean length of the first prompts by the server and by the endpoint's tokenizer, in words."""
    some = prompts[:_COMPARED]
    template = getattr(spec.options, "count_template", False)
    here = sum(local.chat_count(prompt.as_messages()) if prompt.messages or template else local.count(prompt.text or "")
               for prompt in some) / len(some)
    there = sum(prompt.input_tokens or 0 for prompt in some) / len(some)
    return (f"{there:,.1f} tokens a prompt by the server, {here:,.1f} by the tokenizer {local.name} "
            f"({here / there - 1:+.1%}, over {len(some)} prompts)")


def _root(url: str) -> str:
    """The server's address: a base URL without the `/v1` at its end."""
    return url.rstrip("/").removesuffix("/chat/completions").removesuffix("/completions").removesuffix("/v1")


def _poster(url: str, headers: dict[str, str], ca_file: str | None, verify: bool, tries: int) -> Post:
    import urllib3

    split_url(url)  # raises for what is no URL
    tls: dict[str, Any] = {}
    if url.startswith("https:"):
        tls = {"ca_certs": ca_file, "cert_reqs": "CERT_REQUIRED" if verify else "CERT_NONE"}
    pool = urllib3.PoolManager(maxsize=CONNECTIONS, headers=headers, retries=urllib3.Retry(tries, backoff_factor=0.2),
                               timeout=_TIMEOUT_S, **tls)

    def post(path: str, body: dict[str, Any]) -> Any:
        try:
            reply = pool.request("POST", url.rstrip("/") + path, body=json.dumps(body).encode())
        except urllib3.exceptions.HTTPError as error:
            raise FmloadError(f"align: {url}{path} cannot be asked: {error}", hint="is the server up?") from error
        if reply.status != 200:
            raise Refused(f"{url}{path} answers {reply.status}")
        return json.loads(reply.data)
    return post
