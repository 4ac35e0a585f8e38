"""Bodies of multipart/form-data, read as a server reads them."""

from __future__ import annotations

import re

from fmload.emulator.http import Request, Unfit

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_NAME, _FILENAME = re.compile(r'\bname="([^"]*)"'), re.compile(r'\bfilename="([^"]*)"')


def read(request: Request) -> tuple[dict[str, list[str]], dict[str, bytes]]:
    """The fields (each name has a list of texts) and the files. Raises Unfit."""
    kind = request.headers.get("content-type", "")
    boundary = _BOUNDARY.search(kind)
    if not kind.startswith("multipart/form-data") or boundary is None:
        raise Unfit("the body must be multipart/form-data, with a boundary")
    fields, files, mark = dict[str, list[str]](), dict[str, bytes](), b"\r\n--" + boundary[1].encode()
    parts = (b"\r\n" + request.body).split(mark)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise Unfit("the form has no end")
    for part in parts[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        told = head.decode("utf-8", "replace")
        name = _NAME.search(told)
        if name is None:
            raise Unfit("a part of the form has no name")
        if _FILENAME.search(told):
            files[name[1]] = content
        else:
            fields.setdefault(name[1], []).append(content.decode("utf-8", "replace"))
    return fields, files
