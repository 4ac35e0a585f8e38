"""Secrets by the name of a variable: `${NAME}` in an address, a header, a parameter or a proxy.

The run file, the plan and the messages to the workers hold the name; the process that sends requests reads the value
from its own environment, and only there. `$${NAME}` stands for the text itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fmload.base.errors import FmloadError
from fmload.base.redaction import is_secret_name, protect

REFERENCE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PLACES = ("url", "urls", "headers", "parameters", "proxy")
# Headers whose values say nothing that anybody would hide.
PLAIN_HEADERS = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "anthropic-version", "cache-control",
    "connection", "content-type", "host", "openai-beta", "user-agent", "x-emulator-dialect",
    "x-emulator-fault", "x-request-id"})
_LIFTED = "FMLOAD_SECRET_"  # begins the names of variables that hold what a run file had written out

Path = tuple[str | int, ...]


def without_references(text: str) -> str:
    """The text with something plain in the place of every reference, to judge its form."""
    return REFERENCE.sub("x", text)


def references(endpoint: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """(path of the key, name of the variable) of every reference in an entry of `endpoints`, and of `…_env` keys."""
    for place in _PLACES:
        yield from _references(endpoint.get(place), (place,))
    for key, value in endpoint.items():
        if key.endswith("_env") and isinstance(value, str):
            yield (key,), value


def _references(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield from ((path, name) for name in REFERENCE.findall(value))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _references(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, (*path, index))


def missing(entries: list[dict[str, Any]], kind: str = "endpoints") -> Iterator[tuple[Path, str]]:
    """(path of the key, name) of every variable that this process's environment lacks, or has empty; of the entries of
    one list of the run file."""
    for index, entry in enumerate(entries):
        for path, name in references(entry):
            if not os.environ.get(name, "").strip():
                yield (kind, index, *path), name


def resolved(spec: Any) -> Any:
    """The `EndpointSpec` with values in the place of references; every value is protected from then on, as are those of
    headers that are written out. Raises FmloadError naming the endpoint and every variable that is not set."""
    given = {place: getattr(spec, place) for place in _PLACES if getattr(spec, place, None)}
    names = list(dict.fromkeys(name for _, name in references(given)))
    absent = [name for name in names if not os.environ.get(name, "").strip()]
    if absent:
        raise FmloadError(f"endpoint '{spec.name}': the environment variable {', '.join(absent)} is not set",
                          hint=f"export {absent[0]}=…, on every worker's host")
    for name in names:
        protect(os.environ[name])
    made = {place: _resolved(value) for place, value in given.items()}
    for name, value in made.get("headers", {}).items():
        if name.lower() not in PLAIN_HEADERS and REFERENCE.search(given["headers"][name]) is None:
            _protect_value(value)
    return spec.model_copy(update=made) if names or "$${" in str(given) else spec


def _protect_value(value: str) -> None:
    """A header's value, and what follows its scheme."""
    for part in {value, value.partition(" ")[2]}:
        if len(part) >= 8:
            protect(part)


def _resolved(value: Any) -> Any:
    if isinstance(value, str):
        return REFERENCE.sub(lambda found: os.environ[found[1]].strip(), value).replace("$${", "${")
    if isinstance(value, Mapping):
        return {key: _resolved(item) for key, item in value.items()}
    return [_resolved(item) for item in value] if isinstance(value, list) else value


def lift(run_file: Any) -> tuple[Any, dict[str, str]]:
    """The `RunFile` with references in the place of the secrets that are written out in its endpoints and tenants, and
    the variables that they name: for processes of this host, whose plan and messages then hold no secret."""
    variables: dict[str, str] = {}

    def put(value: str) -> str:
        name = f"{_LIFTED}{len(variables)}"
        variables[name] = value
        return f"${{{name}}}"

    endpoints, tenants = ([spec.model_copy(update=_without_inline(spec, put)) for spec in specs]
                          for specs in (run_file.endpoints, run_file.tenants))
    return run_file.model_copy(update={"endpoints": endpoints, "tenants": tenants}), variables


def is_lifted(reference: str) -> bool:
    """Whether a reference names what `lift` took out of a run file."""
    return reference.startswith(_LIFTED)


def refuse_inline_secrets(run_file: Any) -> None:
    """Raises FmloadError naming every written-out secret of endpoints and tenants: they would travel to the workers."""
    found: list[str] = []
    for kind, spec in (*(("endpoint", spec) for spec in run_file.endpoints),
                       *(("tenant", spec) for spec in run_file.tenants)):
        found += [f"{kind} '{spec.name}': headers.{name}" for name, value in spec.headers.items()
                  if is_secret_name(name) and not REFERENCE.search(value)]
        found += [f"{kind} '{spec.name}': parameters.{'.'.join(map(str, path))}"
                  for path, key, value in _leaves(spec.parameters) if _is_secret_leaf(key, value)]
        for place in ("url", "urls", "proxy"):
            urls = getattr(spec, place, None) or []
            found += [f"{kind} '{spec.name}': {place}" for url in ([urls] if isinstance(urls, str) else urls)
                      if _lifted_url(url, lambda value: "") != url]
    if found:
        raise FmloadError(f"secrets are written out, and would travel to the workers: {'; '.join(found)}",
                          hint="write ${NAME} in their place, and set the variable on every worker's host")


def _without_inline(spec: Any, put: Callable[[str], str]) -> dict[str, Any]:
    changed: dict[str, Any] = {
        "headers": {name: value if name.lower() in PLAIN_HEADERS or REFERENCE.search(value) or not value else put(value)
                    for name, value in spec.headers.items()},
        "parameters": _lifted_leaves(spec.parameters, put)}
    for place in ("url", "proxy"):
        if isinstance(url := getattr(spec, place, None), str):
            changed[place] = _lifted_url(url, put)
    if getattr(spec, "urls", None):
        changed["urls"] = [_lifted_url(url, put) for url in spec.urls]
    return changed


def _leaves(value: Any, path: Path = (), key: str = "") -> Iterator[tuple[Path, str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, (*path, name), str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index), key)
    else:
        yield path, key, value


def _is_secret_leaf(key: str, value: Any) -> bool:
    return isinstance(value, str) and bool(value) and is_secret_name(key) and not REFERENCE.search(value)


def _lifted_leaves(value: Any, put: Callable[[str], str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _lifted_leaves(item, put, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_lifted_leaves(item, put, key) for item in value]
    return put(value) if _is_secret_leaf(key, value) else value


def _lifted_url(url: str, put: Callable[[str], str]) -> str:
    """User and password, and the values of query fields that are named like secrets."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if at and not REFERENCE.search(user):
        authority = f"{put(user)}@{host}"
    path, mark, query = path.partition("?")
    fields = [_lifted_field(field, put) for field in query.split("&")] if query else []
    return f"{scheme}{separator}{authority}{slash}{path}{mark}{'&'.join(fields)}"


def _lifted_field(field: str, put: Callable[[str], str]) -> str:
    name, _, value = field.partition("=")
    return f"{name}={put(value)}" if value and is_secret_name(name) and not REFERENCE.search(value) else field
