"""The bodies of requests for images: OpenAI's, and those of Bedrock's models, in one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fmload.base.errors import FmloadError
from fmload.endpoints.images_answer import read, started
from fmload.model.prompt import Prompt
from fmload.model.reading import Expected, Reading
from fmload.wire.exchange import Exchange

Json = dict[str, Any]
ImageForm = Literal["canvas", "stability", "stability_xl"]
_size = re.compile(r"([1-9]\d{0,4})\s*x\s*([1-9]\d{0,4})").fullmatch
_CANVAS = "imageGenerationConfig"


@dataclass(frozen=True, slots=True)
class Form:
    """`body` makes a body of the prompt's text and the parameters; `number` and `size` tell of a body how many images
    it asks for, and of what width and height. `most`: images that one request may ask for; None: the server decides."""

    body: Callable[[str, Json], Json]
    number: Callable[[Json], Any]
    size: Callable[[Json], tuple[int, int] | None] = lambda body: None
    most: int | None = None


def _openai(text: str, parameters: Json) -> Json:
    return {**parameters, "prompt": text}


def _openai_size(body: Json) -> tuple[int, int] | None:
    return size_of(body.get("size"))


def _canvas(text: str, parameters: Json) -> Json:
    """Titan's image generator and Nova Canvas. OpenAI's `n` and `size` are said in its own words."""
    chosen = dict(parameters)
    number, size = chosen.pop("n", None), size_of(chosen.pop("size", None))
    asked = {**({"numberOfImages": number} if number is not None else {}),
             **({"width": size[0], "height": size[1]} if size else {})}
    config = {**asked, **(chosen.pop(_CANVAS, None) or {}),
              **{name: chosen.pop(name) for name in _OF_CANVAS if name in chosen}}
    texts = {**(chosen.pop("textToImageParams", None) or {}), "text": text}
    return {"taskType": "TEXT_IMAGE", **chosen, "textToImageParams": texts, **({_CANVAS: config} if config else {})}


_OF_CANVAS = ("numberOfImages", "width", "height", "quality", "cfgScale", "seed")


def _canvas_size(body: Json) -> tuple[int, int] | None:
    config = body.get(_CANVAS) or {}
    return _pair(config.get("width"), config.get("height"))


def _stability(text: str, parameters: Json) -> Json:
    return {**{name: value for name, value in parameters.items() if name != "n"}, "prompt": text}


def _stability_xl(text: str, parameters: Json) -> Json:
    chosen = {name: value for name, value in parameters.items() if name not in ("n", "size")}
    size = size_of(parameters.get("size"))
    return {**({"width": size[0], "height": size[1]} if size else {}), **chosen, "text_prompts": [{"text": text}]}


FORMS: Mapping[str, Form] = {
    "openai_images": Form(_openai, lambda body: body.get("n"), _openai_size),
    "canvas": Form(_canvas, lambda body: (body.get(_CANVAS) or {}).get("numberOfImages"), _canvas_size, most=5),
    "stability": Form(_stability, lambda body: 1, most=1),
    "stability_xl": Form(_stability_xl, lambda body: body.get("samples"),
                         lambda body: _pair(body.get("width"), body.get("height")), most=1),
}
_OF_BEDROCK = ((r"amazon\.(titan-image|nova-canvas)", "canvas"), (r"stability\.stable-diffusion-xl", "stability_xl"),
               (r"stability\.", "stability"))


def image_form_of(model: str) -> str | None:
    """The form that a model on Bedrock takes, told from its id, profile or ARN; None for one that makes no images."""
    return next((form for pattern, form in _OF_BEDROCK if re.search(rf"(^|[./:]){pattern}", model)), None)


def size_of(text: Any) -> tuple[int, int] | None:
    """Width and height of `1024x1024`; None for another word, such as auto."""
    found = _size(text.strip().lower()) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _pair(width: Any, height: Any) -> tuple[int, int] | None:
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


class ImagesCodec:
    """How one endpoint is asked for images in one form, and what its answers have to hold. Pure."""

    def __init__(self, endpoint: str, form: str, parameters: Mapping[str, Any], model: str | None = None,
                 any_size: bool = False, streamed: bool = False) -> None:
        """`model` is sent where it is given. `any_size`: images may have another size than was asked for."""
        self._endpoint, self._form, self._any_size, self._streamed = endpoint, FORMS[form], any_size, streamed
        stream = {"stream": True} if streamed else {}
        self._fixed: Json = {**({} if model is None else {"model": model}), **stream, **parameters}

    def body(self, prompt: Prompt) -> Json:
        """The JSON to send: the endpoint's parameters, and over them the prompt's."""
        return self._form.body(prompt.as_text(), {**self._fixed, **prompt.parameters})

    def read(self, exchange: Exchange) -> Reading:
        """The reading of a response of status 2xx."""
        return read(exchange, self._streamed)

    def expects(self, prompt: Prompt) -> Expected:
        """How many images the answer to a prompt has to hold, and of what size."""
        body = self.body(prompt)
        number = self._form.number(body)
        number = number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 1
        return Expected("images", 1, number, size=None if self._any_size else self._form.size(body))

    def carries_token(self, body: bytes) -> bool:
        """Whether an image, partial or whole, has come in a part of a stream."""
        return self._streamed and started(body)

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt that cannot be asked in this form."""
        where = f"prompt set '{prompt.prompt_set}', endpoint '{self._endpoint}'"
        if prompt.inputs is not None:
            raise FmloadError(f"{where}: several texts in a request, and an image is made of one",
                              hint="leave out batch and query_tokens; parameters: {n: 4} asks for several images")
        asked = {**self._fixed, **prompt.parameters}.get("n")
        if self._form.most is not None and isinstance(asked, int) and asked > self._form.most:
            raise FmloadError(f"{where}: {asked} images in a request; it makes {self._form.most} at most",
                              hint=f"set n: {self._form.most}" if self._form.most > 1 else "leave out n")
