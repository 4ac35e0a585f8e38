"""Texts from outside do nothing in what opens them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base import neutral
from fmload.base.errors import FmloadError
from fmload.config.dumping import masked_argv
from fmload.results.folder import Results
from fmload_analysis.document import markdown
from fmload_analysis.document.document import Bullets, Callout, Cell, Code, Column, Paragraph, Section, Table

HOSTILE = "<script>x()</script>\x1b[2J\x07 ![x](http://evil/y.png) a < b"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\tx"])
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert neutral.cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-5", "+1e3", "plain", "", 3, -2.5, None, True])
def test_numbers_and_plain_words_stay(value: object) -> None:
    assert neutral.cell(value) == value


def test_no_html_no_picture_and_no_control_character_reaches_the_markdown() -> None:
    blocks = [Paragraph(HOSTILE), Bullets([HOSTILE]), Callout("warn", HOSTILE, HOSTILE), Code(HOSTILE, "yaml", HOSTILE),
              Table([Column(HOSTILE, numeric=False)], [[Cell(HOSTILE)]], HOSTILE)]
    text = markdown.render(HOSTILE, [Section("name", HOSTILE, blocks)])
    outside = text.replace(f"```yaml\n{HOSTILE}", "")
    assert "\x1b" not in text and "\x07" not in text and "a < b" in text
    fenced = text.partition("```yaml")[2].partition("```")[0]
    assert "<script" not in outside.replace(fenced, "") and "![x]" not in outside.replace(fenced, "")


def test_a_results_folder_with_links_is_refused_and_a_link_to_the_folder_is_not(tmp_path: Path) -> None:
    results = Results(tmp_path / "run").create()
    (tmp_path / "latest").symlink_to("run")
    Results(tmp_path / "latest").refuse_links()
    (results.root / "report.html").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FmloadError, match=r"symbolic links: report\.html"):
        results.refuse_links()


def test_a_command_line_is_recorded_without_its_secrets() -> None:
    words = ["locust", "--host", "http://me:hunter2@h/v1?api-key=hunter2", "--host=http://me:hunter2@h/v1",
             "--fmload-parameters", '{"api_key": "hunter2", "n": 2}', "--api-key=hunter2", "-u", "3"]
    told = masked_argv(words)
    assert "hunter2" not in str(told)
    assert told[0] == "locust" and told[2] == "http://(masked)@h/v1?api-key=(masked)" and told[-2:] == ["-u", "3"]
    assert told[3] == "--host=http://(masked)@h/v1" and '"n": 2' in told[5]
