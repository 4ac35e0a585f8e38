"""What went wrong with a collector, in words that name the remedy. Pure; no secret of an address is repeated."""

from __future__ import annotations

import http.client
import subprocess
import urllib.error
from dataclasses import dataclass
from urllib.parse import urlsplit

from fmload.base.errors import FmloadError

OF_STATUS = {
    401: "give it credentials that the server takes (api_key_env, headers or auth)",
    403: "give it credentials that the server takes (api_key_env, headers or auth)",
    404: "check the path of its url; some servers tell of metrics only when started so (llama.cpp: --metrics, SGLang: "
         "--enable-metrics)",
    429: "ask less often: raise every or step",
}
_LOG = "see the server's own log"
_COMMAND = "install it, or give its command"
_RUNNING = "check that it runs, and that this host can reach its address and port"
_SLOW = "see why it hangs, or raise its timeout"


@dataclass(frozen=True, slots=True)
class CollectorFailure:
    """`hint` None: the words say all that is known."""

    message: str
    hint: str | None = None


def failure(error: BaseException) -> CollectorFailure:
    """The failure behind an exception."""
    match error:
        case FmloadError():
            return CollectorFailure(error.message, error.hint)
        case KeyboardInterrupt():
            return CollectorFailure("interrupted before its last figures were there", "let it wait, or lower its delay")
        case urllib.error.HTTPError():
            return CollectorFailure(f"{shown(error.url)}: HTTP {error.code} {error.reason}", of_status(error.code))
        case urllib.error.URLError(reason=OSError() as reason):
            return failure(reason)
        case subprocess.TimeoutExpired():
            return CollectorFailure(f"{error.cmd[0]} did not end within {error.timeout:g} s", "see why it hangs")
        case TimeoutError():
            return CollectorFailure("no answer in time", _SLOW)
        case FileNotFoundError():
            return CollectorFailure(f"there is no command '{error.filename}'", _COMMAND)
        case PermissionError():
            return CollectorFailure(f"'{error.filename}' may not be run", _COMMAND)
        case http.client.HTTPException():
            return CollectorFailure("the answer ended early", _RUNNING)
        case OSError():
            return CollectorFailure(error.strerror or str(error) or type(error).__name__, _RUNNING)
        case RuntimeError() | ValueError() if str(error):
            return CollectorFailure(str(error))
    return CollectorFailure(f"{type(error).__name__}: {error}")


def of_status(code: int) -> str:
    """The remedy of an HTTP status that is no success."""
    return OF_STATUS.get(code, _LOG)


def shown(url: str) -> str:
    """An address without what may be a secret: its user, its password and its query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
