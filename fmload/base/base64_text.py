"""Base64 as it is met: in lines, in the URL's alphabet, without its padding; and what is none of it. Pure."""

from __future__ import annotations

import binascii

_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")
_LINE_ENDS = b" \t\r\n"


def decoded(text: str) -> bytes:
    """The bytes in a text. Raises ValueError (binascii.Error) for what is no base64 in any of these ways."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)  # of nearly all, and of megabytes
    except binascii.Error:
        plain = text.encode("ascii").translate(_URL_ALPHABET, _LINE_ENDS)
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
