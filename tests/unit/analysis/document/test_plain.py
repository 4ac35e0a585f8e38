"""Words from outside in a sentence of the report."""

from __future__ import annotations

import pytest

from fmload_analysis.document.document import plain
from fmload_analysis.report.html import inline


@pytest.mark.parametrize("name", ["**bold**", "`code`", "[label](https://example.com)", "a\n**b**", "***[x](#y)***"])
def test_a_name_in_prose_is_no_markup(name: str) -> None:
    shown = str(inline(plain(f"the stage {name} is slow")))
    assert "<" not in shown and shown.startswith("the stage ") and shown.endswith(" is slow")
