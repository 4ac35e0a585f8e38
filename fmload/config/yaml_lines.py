"""YAML to plain values and back, with the line of every key: YAML 1.2's core types, no tags, no duplicate keys.

What a text may ask for is limited, so that none takes more than a moment: its size, how deep it is nested, how many
values its aliases make of it, and how many digits a number has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from fmload.base.units import write_size

Path = tuple[str | int, ...]

MAX_BYTES = 4 << 20
MAX_DEPTH = 40
MAX_VALUES = 20_000
_TOO_MANY = (f"more than {MAX_VALUES:,} values, those that aliases repeat included; write fewer, or put prompts into "
             "files of their own")
_MAX_CHARACTERS_READ_TWICE = 64 << 10  # the loader with the better messages reads 100 KB a second
MAX_DIGITS = 400  # of a number: more than the largest that a computer's arithmetic has


@dataclass(slots=True)
class Document:
    """The values of one YAML text, the line of each path in it (from 1), and what was wrong (path, message)."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    size: int = 0  # values so far, those of aliases included


class SyntaxProblem(Exception):
    """The text is not YAML. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """YAML 1.2 core: `on`, `no`, `1:30` and dates are text; 1e3 is a number."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own shape)


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, where PyYAML was built with it: ten times as fast, but it says less about mistakes."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


class _Dumper(yaml.SafeDumper):
    """Puts text into quotes that either version of YAML would take for something else."""


_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {  # tag: pattern, first characters, reader
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true"),
    "null": ("~|null|Null|NULL|", "~nN", lambda text: None),
    "int": (r"[-+]?[0-9]+", "-+0123456789", int),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789", float),
}
for _name, (_pattern, _first, _) in _SCALARS.items():
    for _side in (_Loader, _Dumper):
        _firsts = [*_first, ""] if _name == "null" else [*_first]
        _side.add_implicit_resolver(_TAG + _name, re.compile(f"^({_pattern})$"), _firsts)
_Loader.add_implicit_resolver(_MERGE, re.compile("^<<$"), ["<"])
_READERS: dict[str, Callable[[str], Any]] = {_TAG + name: reader for name, (_, _, reader) in _SCALARS.items()}
_READERS[_TAG + "str"] = str


def parse(text: str) -> Document:
    """The document in `text`; an empty text gives None. Raises SyntaxProblem when it is not YAML."""
    root = _root(text)
    document = Document()
    if root is not None:
        document.lines[()] = root.start_mark.line + 1
        document.value = _build(root, (), document, ())
    return document


def _root(text: str) -> yaml.Node | None:
    _check_size(text)
    try:
        return cast(yaml.Node | None, _FastLoader(text).get_single_node())
    except yaml.YAMLError:  # the other loader says better what is wrong
        loader = _Loader if len(text) <= _MAX_CHARACTERS_READ_TWICE else _FastLoader
    try:
        return loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax_problem(error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SyntaxProblem(line, f"a character that YAML forbids ({error.character!r})") from error


def _check_size(text: str) -> None:
    """Raises SyntaxProblem for what is too large or nested too deep. By events: building it would recurse."""
    if len(text) > MAX_BYTES:
        raise SyntaxProblem(1, f"larger than {write_size(MAX_BYTES)}; put prompts into files of their own")
    depth = 0
    with suppress(yaml.YAMLError):
        for count, event in enumerate(yaml.parse(text, Loader=_FastLoader)):
            if count > 2 * MAX_VALUES:
                raise SyntaxProblem(_line(event), _TOO_MANY)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                raise SyntaxProblem(_line(event), f"nested more than {MAX_DEPTH} deep; no key needs that")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def write(value: Any) -> str:
    """YAML that `parse` reads back as the same plain values; keys keep their order."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000))


def _syntax_problem(error: yaml.MarkedYAMLError) -> SyntaxProblem:
    mark = error.problem_mark or error.context_mark
    message = error.problem or error.context or "not YAML"
    if "'\\t'" in message:
        message = "a tab; indent with spaces"
    elif "mapping values are not allowed" in message:
        message = "a ':' where none can stand; check the indentation, or put the value in quotes"
    context = f" ({error.context})" if error.context and error.context != message else ""
    return SyntaxProblem((mark.line if mark else 0) + 1, message + context)


def _build(node: yaml.Node, path: Path, document: Document, above: tuple[yaml.Node, ...]) -> Any:
    if any(node is one for one in above):
        document.problems.append((path, "an alias that contains itself"))
        return None
    document.size += 1
    if document.size > MAX_VALUES:
        raise SyntaxProblem(document.lines.get(path[:1], node.start_mark.line + 1), _TOO_MANY)
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document, above)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            document.lines[(*path, index)] = item.start_mark.line + 1
            items.append(_build(item, (*path, index), document, above))
        return items
    return _scalar(node, path, document)


def _scalar(node: yaml.Node, path: Path, document: Document) -> Any:
    read = _READERS.get(node.tag)
    if read is None:
        document.problems.append((path, f"the tag {node.tag} is not allowed; write plain values"))
        return None
    if read is not str and len(node.value) > MAX_DIGITS:
        document.problems.append((path, f"a number of {len(node.value):,} digits; {MAX_DIGITS} are the most"))
        return None
    return read(node.value)


def _mapping(node: yaml.MappingNode, path: Path, document: Document, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    merged: list[yaml.Node] = []
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag == _MERGE:
            merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            continue
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
        where = (*path, key)
        if key in first:
            document.lines[where] = line
            document.problems.append((where, f"'{key}' stands twice (first on line {first[key]}); keep one"))
        first.setdefault(key, line)
        document.lines[where] = line
        values[key] = _build(value_node, where, document, above)
    return {**_merge(merged, path, document, above), **values} if merged else values


def _merge(nodes: list[yaml.Node], path: Path, document: Document, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
    """The keys that `<<` brings in: the first mapping that has a key wins; own keys keep their lines."""
    own_lines, document.lines = document.lines, {}
    values: dict[str, Any] = {}
    for node in reversed(nodes):
        if isinstance(node, yaml.MappingNode):
            values.update(_build(node, path, document, above) or {})  # None: it is inside of itself
        else:
            document.problems.append((path, "'<<' needs a mapping"))
    for where, line in document.lines.items():
        own_lines.setdefault(where, line)
    document.lines = own_lines
    return values
