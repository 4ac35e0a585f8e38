"""Prepared prompt sets are kept under a key of everything that they depend on, the code included."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fmload.config.schema import PromptSpec
from fmload.prompts.source import Source
from fmload.prompts.tokenizer import Tokenizer


def folder() -> Path:
    """`$XDG_CACHE_HOME/fmload/prompts`, or that under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fmload" / "prompts"


def key(spec: PromptSpec, source: Source, tokenizer: Tokenizer, seed: int, wanted: int | None,
        prefix: str, held: Sequence[Any] = ()) -> str:
    """A name that changes with the options, the files' contents, the tokenizer, the seed and the code, and with what
    else the set depends on (`held`)."""
    parts: dict[str, Any] = {
        "spec": spec.model_dump(mode="json"), "source": source.fingerprint(),
        "tokenizer": [tokenizer.name, tokenizer.identity], "seed": seed, "wanted": wanted, "prefix": prefix,
        "held": list(held),
        "code": [_code(), _module(type(source))],
        "libraries": [importlib.metadata.version(name) for name in ("tokenizers", "transformers", "pyarrow")],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def get(name: str) -> bytes | None:
    """The file kept under this key, or None."""
    try:
        return (folder() / f"{name}.jsonl").read_bytes()
    except OSError:
        return None


def has(name: str) -> bool:
    """Whether there is a file under this key."""
    return (folder() / f"{name}.jsonl").exists()


def put(name: str, content: bytes) -> None:
    """Keep a file under this key; a cache that cannot be written is no error, the next run prepares again."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder())
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(folder() / f"{name}.jsonl")
    except OSError:
        return


def file_hash(path: Path) -> str:
    """SHA-256 of the file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _code() -> str:
    """One hash over the modules and data that make prompts."""
    root = Path(__file__).parent
    paths = sorted([*root.glob("*.py"), *root.glob("data/*.*"), root.parent / "model" / "prompt.py"])
    return hashlib.sha256("".join(file_hash(path) for path in paths).encode()).hexdigest()


def _module(kind: type) -> str:
    """The code of a source that comes from elsewhere."""
    return hashlib.sha256((inspect.getsource(inspect.getmodule(kind) or kind)).encode()).hexdigest()
