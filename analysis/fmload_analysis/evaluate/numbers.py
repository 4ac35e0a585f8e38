r"""The number that an answer ends with, as models write it: `1,000`, `$5.00`, `−3`, `1/2`, `\boxed{1{,}000}`. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

_ONE_WAY = tuple((re.compile(pattern), plain) for pattern, plain in (  # to write what there are several for
    ("[−–]", "-"), ("—", " "), (r"(?<=\w)[$€£¥]", " "), (r"(?:\\?\$|[€£¥])\s?", ""), (r"\^\{", "^"), (r"\{,\}", ","),
    (r"\s?(?:\\times|\\cdot|×)\s?", "×"),
    (r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r" \1/\2"), (r"(?<=\d)(?:\\,|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))", ",")))
_RAISED = "¹²³⁰-⁹¼-¾⅐-⅞"  # digits and fractions of one character
# All that stands together from a digit on, with spaces only before thousands or a fraction: 1 000, 7 1/2
_WORD = (r"(?<![A-Za-z0-9-])(?<!\w\.)-?(?:(?<!\.)\.)?\d"
         rf"(?:[A-Za-z\d_.,:/^×'{_RAISED}-]|(?<=\d) (?=\d{{3}}(?!\d)|\d+/\d))*")
_LAST = re.compile(_WORD)
_MARKED = re.compile(r"(?<!#)####(?!#|[ \t]*\d+[.):][ \t]+\S)(?:[^\n#]*=)?"  # no heading such as `#### 1. Add`
                     rf"[\s*(]*+(?i:(?:final )?answer:)?[\s*(]*+({_WORD})")
_BOXED = re.compile(rf"\\boxed\{{(?:[^{{}}\n=]{{0,99}}=)?(?:[\s({{]|\\[a-z]+){{0,9}}+({_WORD})")
_UNIT = "(?:[/-]?[A-Za-z]+[²³]?)*"
_DECIMAL = re.compile(r"(?=-?\.?\d)(-?)(\d{1,3}(?: \d{3})+|\d{1,3}(?:,\d{2,3})*,\d{3}|\d{1,99})?(\.\d{1,99})?" + _UNIT)
_FRACTION = re.compile(r"(-?)(?:(\d{1,99}) )?(\d{1,99})/(\d{1,99})")


def number_of(answer: str) -> Fraction | None:
    r"""The number right behind the last `####` (or `#### Answer:`, or the last `=` of its line); else the first in the
    last `\boxed{}`; else the last of all. None where that is no number."""
    text = _plain(answer)
    for place in (_MARKED, _BOXED, _LAST):
        if found := place.findall(text):
            return value(found[-1])
    return None


def value(text: str) -> Fraction | None:
    """The value of one number, whatever its currency or unit; None where the text is none: `2:30`, `18-20`, `3,5`."""
    bare = _plain(text).strip().rstrip(".,:/^×'_-%")
    if decimal := _DECIMAL.fullmatch(bare):
        sign, whole, part = (each or "" for each in decimal.groups())
        return Fraction(sign + re.sub("[ ,]", "", whole) + part)
    if (mixed := _FRACTION.fullmatch(bare)) and int(mixed[4]):
        return int(mixed[1] + "1") * (int(mixed[2] or 0) + Fraction(int(mixed[3]), int(mixed[4])))
    return None


def _plain(text: str) -> str:
    for pattern, plain in _ONE_WAY:
        text = pattern.sub(plain, text)
    return text
