"""Images in chat messages: bytes, base64 text, data-set structs or files become data URLs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config.problems import shown

_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def image_part(value: Any, folder: str, where: str) -> dict[str, Any]:
    """OpenAI's message part for an image. `value`: bytes, a mapping with `bytes` or `path`, base64, a URL, or a path
    from `folder`. Raises FmloadError naming `where` for anything else."""
    return {"type": "image_url", "image_url": {"url": _url(value, folder, where)}}


def _url(value: Any, folder: str, where: str) -> str:
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str) and value.startswith(("data:", "http://", "https://")):
        return value
    content = value if isinstance(value, bytes) else _bytes(value, folder, where)
    kind = next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
    if kind is None:
        raise FmloadError(f"{where}: not a PNG, JPEG, GIF or WebP image", hint="convert it, or leave the row out")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _bytes(value: Any, folder: str, where: str) -> bytes:
    if not isinstance(value, str) or not value:
        raise FmloadError(f"{where}: no image", hint="bytes, base64 text, a URL or a path is wanted")
    if len(value) < 1024 and _is_file(Path(folder) / value):
        return (Path(folder) / value).read_bytes()
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise FmloadError(f"{where}: neither a file in {folder} nor base64 text: {shown(value)}",
                          hint="paths start from the folder of the file that names them") from error


def _is_file(path: Path) -> bool:
    """Whether the file is there; a text too long for a name is none."""
    try:
        return path.is_file()
    except OSError:
        return False
