"""The run file as it was resolved: YAML that loads again, without secrets."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fmload.config import yaml_lines
from fmload.config.schema import RunFile

MASK = "(masked)"
_SECRET = re.compile(r"(^|[-_])(authorization|auth|(api|access)?[-_]?key|cookie|token|secret|password|credentials?)$",
                     re.IGNORECASE)
_MAPPINGS_WITH_SECRETS = {"headers", "env", "environment"}


def values(run_file: RunFile) -> dict[str, Any]:
    """The resolved run file as plain values as YAML has them, nothing masked; nulls left out."""
    return run_file.model_dump(mode="json", by_alias=True, exclude_none=True)


def dump(run_file: RunFile) -> str:
    """Resolved YAML; headers and environment entries named like secrets, and passwords in URLs, are masked."""
    return yaml_lines.write(_masked(values(run_file)))


def _masked(value: Any, key: str = "", inside: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _masked(item, str(name), key) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, key, inside) for item in value]
    if inside in _MAPPINGS_WITH_SECRETS and _SECRET.search(key):
        return MASK
    return _without_password(value) if isinstance(value, str) and "://" in value else value


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if not parts.password:
        return url
    return urlunsplit(parts._replace(netloc=f"{MASK}@{parts.netloc.rpartition('@')[2]}"))
