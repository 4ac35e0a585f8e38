"""Prompt templates: text with `{column}` in it. Other braces are text; `{{column}}` gives `{column}` itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.prompts import files, formats

_FIELD = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A template and, for messages, where it came from."""

    text: str
    source: str = "template"

    @classmethod
    def load(cls, path: str) -> Template:
        """The template in a file, which may be in S3 or on the Hub. Raises FmloadError when it cannot be read."""
        found = files.find([path])
        if len(found) > 1:
            raise FmloadError(f"template {path}: {len(found)} files", hint="name one")
        return cls(formats.text(files.content(found[0]), path), path)

    @property
    def fields(self) -> list[str]:
        """The columns it wants, in order of appearance."""
        return list(dict.fromkeys(match[2] for match in _FIELD.finditer(self.text) if match[2]))

    def check(self, columns: Iterable[str]) -> None:
        """Raises FmloadError naming line and column of the template when a field is no column, or when
        there is none."""
        known = sorted(columns)
        if not self.fields:
            raise FmloadError(f"{self.source}: no field in it; every prompt would be the same",
                              hint=f"put {{…}} around a column's name: {', '.join(known)}")
        for match in _FIELD.finditer(self.text):
            if match[2] and match[2] not in known:
                line = self.text.count("\n", 0, match.start()) + 1
                raise FmloadError(f"{self.source}:{line}: no column '{match[2]}'{did_you_mean(match[2], known)}",
                                  hint=f"columns: {', '.join(known)}; write {{{{{match[2]}}}}} for the text itself")

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with the columns' values put in; an absent value is empty."""
        return _FIELD.sub(lambda match: f"{{{match[1]}}}" if match[1] else _text(values.get(match[2])), self.text)


def _text(value: Any) -> str:
    """Text as it stands; lists, mappings, true and false as JSON."""
    if isinstance(value, list | dict | bool):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)
