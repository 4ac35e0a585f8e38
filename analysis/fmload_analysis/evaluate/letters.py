"""The option that an answer chooses, as models write it: `The answer is (C)`, `Answer: c.`, `**A**`. Pure."""

from __future__ import annotations

import re

_IN_BOX = re.compile(r"\\(?:boxed|text|textbf|mathrm)\{([^{}]*)\}")
_IN_MARKS = re.compile(r"(?<!\w)(?:\*\*|[(\[{<`\"“]){1,4} ?([A-Za-z]) ?[.:]?(?:\*\*|[)\]}>`\"”]){1,4}")
_MARKS = str.maketrans("", "", "*_`$\"“”")
_NAMED = re.compile(r"""
    \b(?i:answer|option|choice) (?i: \s+(?:is|(?:would|should|must)\ be)\b:? | \s*[:=] ) \s*
    (?i: (?:the\s+)?(?:option|choice|letter)\b\s* )?
    (?P<letter> \([A-Za-z]\)? | [A-Z](?![\w'’]) | [a-z](?=[.)]|\s*\n|\s*\Z) )  # `a triangle` names none
    (?P<another> \s*(?:or|and|/)\s*\(?[A-Z]\)?(?=\s*[.,;\n]|\s*\Z) )?""", re.VERBOSE)
_FIRST = re.compile(r"\(?([A-Z])[).:]\s[^\n.]*\.?")
_LONE = re.compile(r"""
    (?<!\w)\(([A-Za-z])\)                            # in brackets; f(x) is none
    | ^\ ?([A-Za-z])\ ?[.):]?\ ?$                    # on a line of its own
    | (?<![A-Za-z0-9_])(?:([B-HJ-Z])(?![\w'’])       # alone; A and I are words,
                       | ([AI])(?=\.?\s*\Z))         # but at the end""", re.VERBOSE | re.MULTILINE)


def letter_of(answer: str) -> str | None:
    """The letter, a capital, of the last "the answer is (X)" or "answer: X"; else that with which an answer of one
    sentence begins; else its last letter in brackets, in bold, on a line of its own or alone. None where there is none,
    and where two are named."""
    plain = _plain(answer)
    if named := list(_NAMED.finditer(plain)):
        return None if named[-1]["another"] else named[-1]["letter"].strip("()").upper()
    if first := _FIRST.fullmatch(plain.strip()):
        return first[1]
    lone = ["".join(found) for found in _LONE.findall(plain)]
    return lone[-1].upper() if lone else None


def _plain(text: str) -> str:
    """One way to write a letter that stands out: `(X)`."""
    for _ in range(2):  # \boxed{\text{C}}
        text = _IN_BOX.sub(r"(\1)", text)
    return _IN_MARKS.sub(r"(\1)", text).translate(_MARKS)
