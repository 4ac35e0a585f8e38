"""The JSON Schema of the run file, for editors: the common keys, and the further keys of every registered entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from fmload.base.errors import FmloadError
from fmload.config.model import Extensible, NoOptions, options_model
from fmload.config.schema import RunFile

_REFERENCE = "#/$defs/"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a run file. Entries that cannot be imported here have no keys of their own."""
    schema = RunFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "fmload run file"
    for model in Extensible.__subclasses__():
        _open(schema["$defs"], model)
    return schema


def entries(model: type[Extensible]) -> Iterator[tuple[str, type[BaseModel]]]:
    """(name, options) of every entry of the model's registry that can be imported."""
    for name in model.registry:
        try:
            yield name, options_model(model.registry, name)
        except (FmloadError, ImportError, AttributeError):
            continue  # an extra that is not installed; its keys are unknown here


def _open(definitions: dict[str, Any], model: type[Extensible]) -> None:
    """Let the model's definition take the keys of the entry that its choice names, and no others."""
    definition = definitions[model.__name__]
    definition = next((one for one in definition.get("anyOf", ()) if "properties" in one), definition)
    definition.pop("additionalProperties", None)
    definition["properties"][model.chosen_by]["examples"] = model.registry.names()
    known = dict(entries(model))
    definition["allOf"] = [
        {"if": {"properties": {model.chosen_by: {"const": name}}, "required": [model.chosen_by]},
         "then": _options(definitions, f"{model.__name__}.{name}", options)} for name, options in known.items()]
    others = {"not": {"properties": {model.chosen_by: {"enum": list(known)}}}}
    definition["allOf"].append({"if": others, "then": {"additionalProperties": True}})
    definition["unevaluatedProperties"] = False


def _options(definitions: dict[str, Any], prefix: str, options: type[BaseModel]) -> dict[str, Any]:
    """The schema of one entry's options; what it defines is moved to the top, under names of its own."""
    if options is NoOptions:
        return {}
    schema = options.model_json_schema(by_alias=True, ref_template=f"{_REFERENCE}{prefix}.{{model}}")
    for name, definition in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = definition
    return {key: schema[key] for key in ("properties", "required") if key in schema}
