"""The tables of docs/run-file.md, made from the schema: `python -m fmload.config.reference` rewrites them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from fmload.base.units import write_duration, write_size
from fmload.config.json_schema import entries
from fmload.config.lengths import Distribution
from fmload.config.model import Extensible, NoOptions
from fmload.config.schema import RunFile
from fmload.config.values import SIZE_EXAMPLES

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "run-file.md"

def tables() -> str:
    """All tables in Markdown, with the further keys of every registered entry."""
    parts: list[tuple[str, type[BaseModel]]] = [
        ("The run", RunFile), *_parts(RunFile, ""), ("Lengths in tokens", Distribution)]
    titles: dict[type[BaseModel], list[str]] = {}
    for title, model in parts:
        titles.setdefault(model, []).append(title)
    return "\n\n".join(text for model, named in titles.items() for text in _part(", ".join(named), model))


def rewritten(page: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _parts(model: type[BaseModel], above: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """(path, model) of every mapping inside the model, in the order of its keys; lengths have a part of their own."""
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            if inner is not Distribution:
                path = f"{above}{field.alias or name}{'[]' if get_origin(field.annotation) is list else ''}"
                yield path, inner
                yield from _parts(inner, f"{path}.")


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _part(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"### {title}\n\n{_first_line(model)}\n\n{_table(model)}"
    if issubclass(model, Extensible):
        seen: dict[type[BaseModel], list[str]] = {}
        for name, options in entries(model):
            seen.setdefault(options, []).append(name)
        for options, names in seen.items():
            if options is not NoOptions:
                said = ", ".join(f"`{model.chosen_by}: {name}`" for name in names)
                yield f"#### Further keys with {said}\n\n{_table(options)}"


def _first_line(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _table(model: type[BaseModel]) -> str:
    schema = model.model_json_schema(by_alias=True)
    schema = schema.get("$defs", {}).get(model.__name__, schema) if "$ref" in schema else schema
    schema = next((one for one in schema.get("anyOf", ()) if "properties" in one), schema)
    rows = [_row(name, value, name in schema.get("required", ())) for name, value in schema["properties"].items()]
    return "\n".join(["| key | value | default | |", "|---|---|---|---|", *rows])


def _row(name: str, schema: dict[str, Any], required: bool) -> str:
    kind = _kind(schema)
    default = "**needed**" if required else _default(schema.get("default"), kind)
    return f"| `{name}` | {kind} | {default} | {schema.get('description', '')} |"


def _default(value: Any, kind: str) -> str:
    if value in (None, [], {}):
        return ""
    if kind == "size":
        return f"`{write_size(value)}`"
    return f"`{write_duration(value)}`" if kind == "duration" else f"`{json.dumps(value).strip(chr(34))}`"


def _kind(schema: dict[str, Any]) -> str:
    """The kind of value in words."""
    if schema.get("examples") and {"const": 0} in schema.get("anyOf", ()):
        return "duration"
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(one) for one in schema["anyOf"] if one.get("type") != "null" and "const" not in one)
        return "duration" if "duration" in kinds else " or ".join(kinds)
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "length" if name == "Distribution" else "mapping"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    if schema.get("examples") == ["500ms", "10s", "2m"]:
        return "duration"
    if schema.get("examples") == SIZE_EXAMPLES:
        return "size"
    return _KINDS.get(schema.get("type", ""), "anything")


_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`",
          "object": "mapping"}


def main() -> None:
    """Rewrite the page in place."""
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
