"""A table as a CSV file that spreadsheets take for no formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from fmload.base import neutral
from fmload.base.files import write_whole


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows, None as an empty cell; whoever reads the file meanwhile sees the old one. Raises OSError."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(map(neutral.row, rows))
    write_whole(path, text.getvalue(), durable=False)
