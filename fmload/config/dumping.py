"""The run file as it was resolved: YAML that loads again, without secrets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fmload.base.redaction import MASKED, is_secret_name, masked_url, redacted
from fmload.config import yaml_lines
from fmload.config.schema import RunFile
from fmload.config.secrets import PLAIN_HEADERS, REFERENCE, is_lifted

_HEADERS = "headers"
_OF_TABLES = ("protocol", "source", "target", "arrivals")  # their values are names of fmload's own
_WITH_SECRETS = (_HEADERS, "parameters", "env", "environment", "exact_output_parameters", "template")


def values(run_file: RunFile) -> dict[str, Any]:
    """The resolved run file as plain values as YAML has them, nothing masked; nulls left out."""
    return run_file.model_dump(mode="json", by_alias=True, exclude_none=True)


def dump(run_file: RunFile) -> str:
    """Resolved YAML, masked."""
    return yaml_lines.write(masked(values(run_file)))


def masked(value: Any, key: str = "", inside: str = "") -> Any:
    """Plain values without secrets: of headers all but a few, of parameters those named like a secret, of addresses
    user, password and query. Names of variables (`${NAME}`) stay."""
    if isinstance(value, dict):
        below = key if key in _WITH_SECRETS else inside
        return {name: masked(item, str(name), below) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key, inside) for item in value]
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    if inside and _hidden(key, inside):
        return _masked_text(str(value))
    if not isinstance(value, str):
        return value
    if key in _OF_TABLES:
        return value
    if "://" not in value:
        return redacted(value)
    return masked_url(REFERENCE.sub(lambda found: MASKED if is_lifted(found[1]) else found[0], value))


def _hidden(key: str, inside: str) -> bool:
    return key.lower() not in PLAIN_HEADERS if inside == _HEADERS else is_secret_name(key)


def _masked_text(text: str) -> str:
    """References stay, with the scheme before them: `Bearer ${NAME}`."""
    if any(map(is_lifted, REFERENCE.findall(text))):
        return MASKED
    rest = REFERENCE.sub("", text).strip().lower()
    return text if REFERENCE.search(text) and rest in ("", "bearer", "basic", "token") else MASKED


def masked_argv(words: Sequence[str]) -> list[str]:
    """A command line for the records: addresses without user, password and query, `key=value` of keys that are named
    like secrets without the value, JSON masked as parameters are."""
    return [_masked_word(word) for word in words]


def _masked_word(word: str) -> str:
    key, equals, value = word.partition("=")
    if equals and "://" not in key and (is_secret_name(key) or ".headers." in key):
        return f"{key}={MASKED}"
    if (value or word).lstrip().startswith("{"):
        return f"{key}={_masked_json(value)}" if equals and "{" not in key else _masked_json(word)
    return " ".join(map(_masked_part, word.split(" ")))


def _masked_part(text: str) -> str:
    before, separator, _ = text.partition("://")
    start = before.rfind("=") + 1
    return f"{text[:start]}{masked_url(text[start:])}" if separator else redacted(text)


def _masked_json(text: str) -> str:
    try:
        value = yaml_lines.parse(text).value
    except yaml_lines.SyntaxProblem:
        return redacted(text)
    return json.dumps(masked(value, "parameters"))
