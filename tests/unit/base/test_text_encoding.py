"""UTF-16 is told from UTF-8 and from bytes that are no text, with a byte-order mark or without."""

from __future__ import annotations

import codecs

import pytest

from fmload.base.text_encoding import utf16_of


@pytest.mark.parametrize("kind", ["UTF-16LE", "UTF-16BE"])
@pytest.mark.parametrize("text", ["name: x\n", '{"prompt": "Grüße 🦀"}\n', '{"prompt": "一日、日本語で話す"}\n' * 3000])
def test_utf16_is_known_by_its_zero_bytes_or_its_mark(kind: str, text: str) -> None:
    mark = {"UTF-16LE": codecs.BOM_UTF16_LE, "UTF-16BE": codecs.BOM_UTF16_BE}[kind]
    assert utf16_of(text.encode(kind)) == utf16_of(mark + text.encode(kind)) == kind


@pytest.mark.parametrize("data", [
    b"", b"name: x\n", "Grüße 🦀".encode(), b"a\0b", b"{}\0", b"\0" * 40, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a b".encode("utf-32-le"), "日本語".encode("utf-16-le")])
def test_what_is_not_surely_utf16_is_not(data: bytes) -> None:
    assert utf16_of(data) is None
