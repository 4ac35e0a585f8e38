"""What a run file needs of the host that it was written on: variables, and the files of TLS that its endpoints name.

Both go to a fleet's hosts by the way of its secrets, since a private key is one: a file as the variable
`FMLOAD_FILE_0`, which every host writes to `files/0.pem` of its home (mode 0600) for as long as it lives, and takes out
of its environment. The run file that travels names them there, relative to itself.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fmload.base.errors import FmloadError
from fmload.base.redaction import masked_url, protect
from fmload.config import RunFile
from fmload.config.loading import places
from fmload.config.problems import Problem, RunFileError, written
from fmload.config.proxies import is_here
from fmload.config.secrets import missing, references
from fmload.wire.tls import client_context

KEYS = ("ca_file", "client_certificate", "client_key")
_PREFIX, _FOLDER = "FMLOAD_FILE_", "files"
_LARGEST_BYTES = 64 << 10  # a variable of an environment takes twice as much, a standard parameter of AWS 4 KiB
_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_SOCKET = "unix"
Key = tuple[str | int, ...]


def variables(run: RunFile) -> tuple[str, ...]:
    """Names of the variables that the run file names: keys of endpoints, tenants, collectors and checks."""
    entries = [entry for listed in _entries(run).values() for entry in listed] + list(_checks(run).values())
    return tuple(dict.fromkeys(name for entry in entries for _, name in references(entry)))


def files(run: RunFile) -> dict[str, str]:
    """By path on this host: the variable that each file of the endpoints travels as."""
    paths = dict.fromkeys(path for spec in run.endpoints for _, path in _named(spec.options))
    return {path: f"{_PREFIX}{number}" for number, path in enumerate(paths)}


def texts(travelling: Mapping[str, str]) -> dict[str, str]:
    """By variable: the text of each file, its private keys protected from now on. Raises FmloadError for one that is
    gone meanwhile."""
    return {variable: _read(Path(path)) for path, variable in travelling.items()}


def moved(run: RunFile, travelling: Mapping[str, str]) -> RunFile:
    """The run file with the places that the files have on the hosts."""
    endpoints = []
    for spec in run.endpoints:
        there = {key: _place(travelling[path]) for key, path in _named(spec.options) if path in travelling}
        endpoints.append(spec.with_options(there))
    return run.model_copy(update={"endpoints": endpoints})


def put_files(environment: MutableMapping[str, str], home: Path) -> None:
    """On a host: the files that have come as variables, which the environment loses."""
    for name in [name for name in environment if name.startswith(_PREFIX)]:
        path = home / _place(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(environment.pop(name), encoding="utf-8")


def remove_files(home: Path) -> None:
    """On a host that ends: nothing of them stays."""
    shutil.rmtree(home / _FOLDER, ignore_errors=True)


def _place(variable: str) -> str:
    return f"{_FOLDER}/{variable.removeprefix(_PREFIX)}.pem"


def refuse_unfit(run: RunFile, path: Path, sets: Sequence[str], here: bool) -> None:
    """Raises RunFileError with everything of the run file that the hosts could not have, each at its line: variables
    that are not set, files that cannot be used, and, unless the hosts are this one (`here`), what is of this host."""
    found = [*_absent(run), *_unusable(run)] + ([] if here else list(_bound(run)))
    if found:
        where = places(path, sets)
        raise RunFileError([Problem(where(key), written(key), text) for key, text in found])


def _entries(run: RunFile) -> dict[str, list[dict[str, Any]]]:
    """The lists of the run file whose entries name variables."""
    return {kind: [spec.model_dump(by_alias=True) for spec in getattr(run, kind)]
            for kind in ("endpoints", "tenants", "telemetry")}


def _absent(run: RunFile) -> Iterator[tuple[Key, str]]:
    for kind, entries in _entries(run).items():
        yield from ((key, _unset(name)) for key, name in missing(entries, kind))
    for step, entry in _checks(run).items():
        yield from (((*_CHECKS, step, *key[2:]), _unset(name)) for key, name in missing([entry], step))


def _unset(name: str) -> str:
    return f"the environment variable {name} is not set; export {name}=…, and the hosts get it from here"


_CHECKS = ("load", "safe_check")


def _checks(run: RunFile) -> dict[str, dict[str, Any]]:
    """The steps of the content-safety check, by name."""
    check = run.load.safe_check
    told = {} if check is None else check.model_dump(by_alias=True)
    return {step: entry for step, entry in told.items() if isinstance(entry, dict)}


def _unusable(run: RunFile) -> Iterator[tuple[Key, str]]:
    for index, spec in enumerate(run.endpoints):
        named = dict(_named(spec.options))
        wrong = [(key, text) for key, path in named.items() if (text := _wrong(Path(path)))]
        yield from ((("endpoints", index, key), text) for key, text in wrong)
        if named and not wrong:
            yield from ((("endpoints", index, key), text) for key, text in _refused(named))


def _named(options: Any) -> Iterator[tuple[str, str]]:
    """Key and path of every file of TLS."""
    return ((key, path) for key in KEYS if (path := getattr(options, key, None)) is not None)


def _wrong(path: Path) -> str | None:
    try:
        size = len(_read(path).encode())
    except FmloadError as error:
        return "; ".join(filter(None, (error.message, error.hint)))
    if size <= _LARGEST_BYTES:
        return None
    return (f"{path} has {size:,} bytes, and goes to the hosts up to {_LARGEST_BYTES:,}; name a file with the "
            "certificates that are needed alone, or leave the key out where the system's are enough")


def _refused(named: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What TLS itself says to the files, before a host has to."""
    for keys in (KEYS[:1], KEYS[1:]):
        files = {key: named.get(key) for key in keys}
        try:
            client_context(files.get("ca_file"), True, files.get("client_certificate"), files.get("client_key"))
        except FmloadError as error:
            yield next(key for key, path in files.items() if path), f"{error.message}; {error.hint}"


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FmloadError(f"{path}: {error.strerror or error}", hint="name a PEM file that can be read here; relative "
                          "paths start from the run file's folder") from error
    except UnicodeDecodeError as error:
        raise FmloadError(f"{path} is no PEM file", hint="openssl x509 -inform DER -in FILE makes one of it") from error
    for key in _PRIVATE.findall(text):
        for line in key.split():
            protect(line)
    return text


def _bound(run: RunFile) -> Iterator[tuple[Key, str]]:
    """What means this host, and something else or nothing on another."""
    for index, spec in enumerate(run.endpoints):
        if (profile := getattr(spec.options, "profile", None)) is not None:
            yield ("endpoints", index, "profile"), (
                f"'{profile}' is a profile of this computer's ~/.aws, and the hosts ask by the role that they have; "
                "take it out: --set endpoints[…].profile=null")
        for url in [*([spec.url] if spec.url else []), *(spec.urls or [])]:
            if _SOCKET in urlsplit(url).scheme:
                yield ("endpoints", index, "url"), (
                    f"'{url}' is a Unix socket of this host, which the fleet's hosts cannot reach; name an address")


def asks_itself(run: RunFile) -> Iterator[str]:
    """A sentence for each endpoint whose address means, on every host, that host."""
    for spec in run.endpoints:
        for url in [*([spec.url] if spec.url else []), *(spec.urls or [])]:
            if is_here(urlsplit(url).hostname or ""):
                yield (f"warning: endpoint '{spec.name}' is at {masked_url(url)}: on each of the fleet's hosts that is "
                       "the host itself. Name an address that they reach")
