"""The truth log: what the server did with every request, in instants of CLOCK_MONOTONIC.

One msgpack map a request, appended with one write when the request ends, so that a killed server loses only what was
in flight. `read` gives them back; a torn tail is dropped.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import msgpack


@dataclass(slots=True)
class Truth:
    """One request as the server lived it. Instants are ns of the host's monotonic clock; None: it never came.

    `received_ns` is the kernel's receive stamp of the request's first bytes; `headers_ns`, `token_ns` are taken just
    before the send() of the bytes that hold them. `token_counts[i]` tokens were first sent in write `token_ns[i]`.
    `outcome` is `ok` (the whole answer went out, whatever its pace and its figures), `disconnected` (the client went
    away), `refused` or `queue_timeout` (by the engine), `rejected` (a bad request) or `fault` (spoiled on purpose).
    `dialect` names the odd form in which it was answered, and `right` the outcome that a client should record for a
    whole answer of that form. `fault` names the fault that was drawn for the request, also when the outcome is `ok`, as
    with a stall. `inputs`: texts to embed or documents to rank, of a request that has no output. `audio_s`: seconds of
    sound that were sent, or that the answer is to have; `characters` of the text that is spoken. `images`: those to
    make, `images_in` those in the prompt and `media_tokens` what all that is no text in it counts; of a request for
    images, `token_ns` are the instants of the partial and whole ones. `asked` are the texts of the
    prompt's messages, `roles` theirs where the protocol has them, and `said` is the answer's, where `--truth-texts`
    asks for them.
    `model` and `priority` are what the request named. `held_texts`: of `asked`, those that were not sent, as the server
    held them from a response that it had stored.
    """

    request_id: str
    number: int
    path: str = ""
    received_ns: int = 0
    admitted_ns: int | None = None
    headers_ns: int | None = None
    token_ns: array[int] = field(default_factory=lambda: array("q"))
    token_counts: array[int] = field(default_factory=lambda: array("i"))
    end_ns: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    asked_tokens: int | None = None
    status: int | None = None
    outcome: str = "ok"
    fault: str | None = None
    dialect: str | None = None
    right: str = "ok"
    asked: list[str] | None = None
    said: str | None = None
    inputs: int | None = None
    audio_s: float | None = None
    characters: int | None = None
    images: int | None = None
    model: str = ""
    priority: int = 0
    images_in: int = 0
    media_tokens: int = 0
    held_texts: int = 0
    roles: list[str] | None = None


_FIELDS = tuple(item.name for item in fields(Truth))


class TruthLog:
    """Appends `Truth` records to a file; does nothing when there is no file."""

    def __init__(self, path: Path | None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o644) if path is not None else None

    def append(self, truth: Truth) -> None:
        """Writes one record, unbuffered: it survives a kill of this process."""
        if self._fd is not None:
            row = {name: getattr(truth, name) for name in _FIELDS}
            row["token_ns"], row["token_counts"] = truth.token_ns.tobytes(), truth.token_counts.tobytes()
            os.write(self._fd, msgpack.packb(row))

    def close(self) -> None:
        """Closes the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read(path: str | os.PathLike[str]) -> list[Truth]:
    """All complete records of a truth log, in the order in which the requests ended."""
    return list(iterate(path))


def iterate(path: str | os.PathLike[str]) -> Iterator[Truth]:
    """As `read`, one at a time."""
    with Path(path).open("rb") as file:
        for row in msgpack.Unpacker(file):
            row["token_ns"] = array("q", row["token_ns"])
            row["token_counts"] = array("i", row["token_counts"])
            yield Truth(**row)
