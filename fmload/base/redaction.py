"""The one place through which text from outside passes on its way to disk, log, page or terminal.

Servers echo what they were sent: a key may come back in an error, cut short, in base64 or %-escaped. `protect` tells
this process a secret once; `redacted` then blanks it out in any text, whole or in part, with whatever else looks like
a credential. The secrets are kept per process, as its environment is.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

MASK = "[redacted]"  # inside of a text
MASKED = "(masked)"  # in the place of a value, or of a part of an address
Mask = Callable[[int], str]  # what stands in the place of so many characters of a secret
SHORTEST = 4  # characters; blanking out a shorter secret would blank out half of every text
_BLOCK = 8  # characters of a secret that are told apart from a word: so many of it in a row are blanked out
_BLOCKS = 16  # of a long secret that are looked for
_SECRET_NAME = re.compile(
    r"(?:^|[-_.])(?:authorization|auth|(?:api|access|private|subscription)?[-_]?keys?|cookies?|token|secrets?|pass"
    r"|password|passwd|passphrase|pwd|credentials?|signature|sig|bearer|jwt|session)$", re.IGNORECASE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TAIL = re.compile(r"[.'\"`…\\s]*\Z")
_CREDENTIAL = re.compile(
    r"(?i)\b(?:bearer|basic)\s+[\w.~+/=-]{8,}"
    r"|\b(?:sk|hf|pk|gsk|xai|nvapi|bedrock-api-key)[-_][\w-]{8,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{5,}(?:\.[\w-]*)?"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}"
    r"|X-Amz-(?:Signature|Credential|Security-Token)=[^&\s\"']+"
    r"|(?<=://)[^/\s@:'\"]{1,256}:[^/\s@'\"]{1,256}(?=@)")
_PUBLIC_START = re.compile(
    r"(?:bedrock|sagemaker)-api-key-|(?:sk|pk|rk)-(?:(?:ant|proj|or|live|test)-)?|hf_|gsk_|xai-|nvapi-")
_HOST = re.compile(r"(?:[^:@]+|\[[^]@]*\])(?::[0-9]*)?")  # with its port
_PERCENT = re.compile("%[0-9A-F]{2}")
_PLACEHOLDERS = {"empty", "none", "null", "test", "dummy", "fake", "local", "localhost", "ollama", "lm-studio",
                 "openai", "vllm", "no-key", "not-needed", "token-abc123"}  # of servers that ask for no key
_CREDENTIAL_LIMIT = 1 << 16  # characters of a text in which credentials nobody told of are looked for
_PLAIN_NAMES = {"PWD", "DESKTOP_SESSION"}  # of variables
_PLAIN_QUERY = {"api-version", "version"}

_forms: dict[str, None] = {}  # of the protected secrets, in the order in which they were told


def is_secret_name(name: str) -> bool:
    """Whether something is named like what holds a secret: `api_key`, `X-Team-Pass`, `accessToken`."""
    return _SECRET_NAME.search(_HUMP.sub("_", name)) is not None


def protect_environment(environment: Mapping[str, str]) -> None:
    """Protect the values of all variables that are named like secrets. A folder or file is none: a shell keeps the
    working folder in `PWD`, and a path to a key is not the key."""
    for name, value in environment.items():
        if is_secret_name(name) and name not in _PLAIN_NAMES and len(value) >= _BLOCK and not _is_path(value):
            protect(value)


def _is_path(value: str) -> bool:
    return value.startswith(("/", "~/", "./")) and Path(value).expanduser().exists()


def protect(secret: str | None) -> None:
    """Blank this out from now on, in all forms in which it may come back. Ignored: what is shorter than SHORTEST, and
    the words that the docs of servers give where no key is needed (`EMPTY`, `dummy`)."""
    if secret is None or len(secret.strip()) < SHORTEST or secret.strip().lower() in _PLACEHOLDERS:
        return
    for form in _forms_of(secret.strip()):
        _forms[form] = None


def _forms_of(secret: str) -> Iterator[str]:
    yield secret
    raw = secret.encode("utf-8", "surrogateescape")
    escaped = quote(secret, safe="")
    yield from dict.fromkeys((escaped, _PERCENT.sub(lambda found: found[0].lower(), escaped), quote_plus(secret),
                              json.dumps(secret)[1:-1], html.escape(secret), repr(secret)[1:-1]))
    if len(secret) < _BLOCK:
        return
    yield from (secret.lower(), secret.upper(), raw.hex(), raw.hex().upper())
    yield from _letter_by_letter(secret, raw)
    for offset in range(3):  # base64 of it inside of something longer: the bits on its edges are the neighbours'
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * offset + raw).decode().rstrip("=")
            yield encoded[-(-offset * 8 // 6):(offset + len(raw)) * 8 // 6]


def _letter_by_letter(secret: str, raw: bytes) -> Iterator[str]:
    """As those write it who escape every character."""
    yield "".join(f"%{byte:02X}" for byte in raw)
    yield "".join(f"\\u{ord(letter):04x}" for letter in secret)
    yield "".join(f"&#{ord(letter)};" for letter in secret)


def redacted(text: str) -> str:
    """The text with every protected secret blanked out, whole, cut or in part, and what looks like a credential."""
    text = without_secrets(text)
    return _CREDENTIAL.sub(MASK, text) if len(text) <= _CREDENTIAL_LIMIT else text


def without_secrets(text: str) -> str:
    """The text with every protected secret blanked out; what merely looks like a credential stays."""
    for form in list(_forms):
        text = _without(text, form, lambda length: MASK)
    return text


def blanked(text: str) -> str:
    """As `without_secrets`, with stars in the place of a secret: every other character stays where it was."""
    for form in list(_forms):
        text = _without(text, form, "*".__mul__)
    return text


def _without(text: str, form: str, mask: Mask) -> str:
    """In part: only the part that is secret, for what all keys of a provider begin with may be an ordinary word."""
    if form in text:
        text = text.replace(form, mask(len(form)))
    start = _PUBLIC_START.match(form)
    form = form[start.end():] if start else form
    if len(form) > _BLOCK:
        stride = max(_BLOCK, len(form) // _BLOCKS)
        for start in {*range(0, len(form) - _BLOCK + 1, stride), len(form) - _BLOCK}:
            if form[start:start + _BLOCK] in text:
                text = _without_run(text, form, start, mask)
    return _without_cut_end(text, form, mask)


def _without_run(text: str, form: str, start: int, mask: Mask) -> str:
    """Every run of characters of the secret that holds the block at `start`."""
    block, parts, done = form[start:start + _BLOCK], [], 0
    while (at := text.find(block, done)) >= 0:
        before = _common(reversed(text[done:at]), reversed(form[:start]))
        after = _common(text[at + _BLOCK:at + len(form)], form[start + _BLOCK:])
        parts += [text[done:at - before], mask(before + _BLOCK + after)]
        done = at + _BLOCK + after
    return "".join([*parts, text[done:]])


def _common(one: Iterable[str], other: Iterable[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _without_cut_end(text: str, form: str, mask: Mask) -> str:
    """A text that was cut inside of the secret ends with its first characters."""
    tail = _TAIL.search(text, max(0, len(text) - 8))
    end = tail.start() if tail else len(text)
    for length in range(min(len(form), _BLOCK, end), SHORTEST - 1, -1):
        if text.endswith(form[:length], 0, end):
            return f"{text[:end - length]}{mask(length)}{text[end:]}"
    return text


def shortened(text: str, limit: int) -> str:
    """At most so many characters of the redacted text."""
    return redacted(text)[:limit]


def masked_url(url: str) -> str:
    """A URL without user, password and the values of its query. Of what is no URL, but a word like one, all up to the
    last `@` is masked: a password that is not %-encoded may hold `/`, `?` and `#`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _masked_before_host(url) or redacted(url)
    netloc = parts.netloc
    if "@" not in netloc and not _HOST.fullmatch(netloc) and (masked := _masked_before_host(url)):
        return masked
    if "@" in netloc:
        netloc = f"{MASKED}@{netloc.rpartition('@')[2]}"
    query = parts.query
    if query:
        pairs = [(name, value if name in _PLAIN_QUERY or value.startswith("${") else MASKED)
                 for name, value in parse_qsl(query, keep_blank_values=True)]
        query = urlencode(pairs, safe="()${}") if pairs else MASKED
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def _masked_before_host(word: str) -> str | None:
    """None where nothing can be a login: there is no `@`, or it is in a text of several words."""
    if "@" not in word or len(word.split()) > 1:
        return None
    scheme = re.match(r"[\w+.-]*://", word)
    return f"{scheme[0] if scheme else ''}{MASKED}@{word.rpartition('@')[2]}"


_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
_CONTROL |= {code: f"\\u{code:04x}" for code in (*range(0x202a, 0x202f), *range(0x2066, 0x206a))}  # turn text around


def printable(text: str) -> str:
    """The redacted text for a terminal or a log: control characters, which would move the cursor, ring the bell or
    turn text around, are written as escapes. Line breaks and tabs stay."""
    return redacted(text).translate(_CONTROL)


def redact_logs() -> None:
    """From now on every log record of this process is printable and redacted, its traceback included; what the
    environment holds under a secret's name is protected."""
    protect_environment(os.environ)
    made = logging.getLogRecordFactory()
    if getattr(made, "redacts", False):
        return

    def make(*arguments: Any, **more: Any) -> logging.LogRecord:
        record = made(*arguments, **more)
        try:
            record.msg, record.args = printable(record.getMessage()), ()
        except Exception:  # logging itself tells of a message that does not fit its arguments
            return record
        if isinstance(record.exc_info, tuple):
            lines = traceback.format_exception(*record.exc_info)
            record.exc_text = printable("".join(lines)).rstrip("\n")
        return record

    make.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make)
    sys.excepthook = _told_redacted


def _told_redacted(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    sys.stderr.write(printable("".join(traceback.format_exception(kind, error, trace))))
