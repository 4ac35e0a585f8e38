"""Faults: what goes wrong, to which requests, and after which token. Drawn by a seed and the request's number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.base.units import parse_duration_s

KINDS = {
    "status": "an HTTP error before any token (`code`, `retry_after`, `aws` for the AWS error code, `html=1`, "
              "`original`: the status of the model below AWS's envelope)",
    "error": "an error event, or an exception frame on the AWS planes, after token `after` (`aws`: its type; "
             "`how=error`: a frame outside the service's model, `how=container`: the container's own words)",
    "cut": "the connection breaks after token `after` (`how`: rst or fin; `mid=1`: inside the next event)",
    "truncate": "a clean end after token `after`, without finish reason and end mark",
    "stall": "silence for `seconds` after token `after`",
    "slow_headers": "headers `seconds` late",
    "never": "no answer at all",
    "garbage": "bytes that are no event, after token `after` (`how=raw`: that break the HTTP framing, too)",
    "empty": "200 and a clean end without a token",
    "gzip": "the body is gzip-encoded",
    "usage": "the stated token counts are `factor` times the true ones",
    "echo": "the prompt comes back in front of the answer and is counted as output",
    "filter": "a filter ends the answer after token `after`",
    "buffer": "the whole answer is held back and comes at once",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault and the requests that it strikes.

    Which: `at` (numbers of requests, from 0), else the first `count`, else every `every`-th, else a `share` of all,
    else all of them.
    """

    kind: str
    after: int = 0
    seconds: float = 1.0
    code: int = 500
    retry_after: float | None = None
    aws: str | None = None
    how: str = "rst"
    mid: bool = False
    html: bool = False
    factor: float = 2.0
    original: int | None = None
    share: float | None = None
    count: int | None = None
    every: int | None = None
    at: tuple[int, ...] = ()

    def strikes(self, number: int, seed: int) -> bool:
        """Whether request `number` is struck; the same for the same seed, whatever the order of requests."""
        if self.at:
            return number in self.at
        if self.count is not None:
            return number < self.count
        if self.every is not None:
            return number % self.every == self.every - 1
        return self.share is None or _uniform(seed, number) < self.share


def pick(faults: list[Fault], number: int, seed: int) -> Fault | None:
    """The first fault of the list that strikes request `number`."""
    for index, fault in enumerate(faults):
        if fault.strikes(number, seed * 1000 + index):
            return fault
    return None


def parse(text: str) -> Fault:
    """A fault from `429:share=0.1,retry_after=2`, `cut:after=5,how=fin`, `ThrottlingException:after=3`, or JSON.

    A number stands for `status:code=…`, an AWS error code for `status:aws=…` (`error:aws=…` when `after` is given).
    Raises FmloadError.
    """
    if text.lstrip().startswith("{"):
        try:
            loaded: dict[str, Any] = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise FmloadError(f"fault {text!r} is not JSON: {error}") from error
        return _build(str(loaded.pop("kind", "")), loaded, text)
    kind, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        name, equals, value = item.partition("=")
        options[name.strip()] = value.strip() if equals else "1"
    return _build(kind.strip(), options, text)


def _build(kind: str, options: Mapping[str, Any], text: str) -> Fault:
    values: dict[str, Any] = dict(options)
    if kind.isdigit():
        kind, values["code"] = "status", kind
    elif kind[:1].isupper() or kind.endswith("Exception"):
        kind, values["aws"] = ("error" if "after" in values else "status"), kind
    if kind not in KINDS:
        raise FmloadError(f"fault {text!r}: unknown kind {kind!r}{did_you_mean(kind, list(KINDS))}",
                          hint=f"known: a status such as 429, an AWS error code, {', '.join(sorted(KINDS))}")
    if "for" in values:
        values["seconds"] = values.pop("for")
    unknown = [name for name in values if name not in _READERS]
    if unknown:
        raise FmloadError(f"fault {text!r}: unknown option {unknown[0]!r}{did_you_mean(unknown[0], list(_READERS))}",
                          hint=f"known: {', '.join(_READERS)}")
    try:
        return Fault(kind, **{name: _READERS[name](value) for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise FmloadError(f"fault {text!r}: {error}") from error


def _seconds(value: Any) -> float:
    return parse_duration_s(value) if isinstance(value, str) and value[-1:].isalpha() else float(value)


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(map(int, value.split("+") if isinstance(value, str) else value))


def _flag(value: Any) -> bool:
    return value in (True, 1, "1", "true", "yes")


def _share(value: Any) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise ValueError(f"a share is between 0 and 1, not {share:g}")
    return share


def _whole(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value)
        if number < least:
            raise ValueError(f"{number} is less than {least}")
        return number
    return read


_READERS: dict[str, Callable[[Any], Any]] = {
    "after": _whole(0), "seconds": _seconds, "code": _whole(200), "retry_after": float, "aws": str, "how": str,
    "mid": _flag, "html": _flag, "factor": float, "original": _whole(0), "share": _share, "count": _whole(0),
    "every": _whole(1), "at": _numbers}


def _uniform(seed: int, number: int) -> float:
    """A number in [0, 1) from seed and request number (splitmix64, Steele et al. 2014)."""
    z = (seed * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return ((z ^ (z >> 31)) >> 11) / float(1 << 53)
