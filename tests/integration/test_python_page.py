"""The tutorial of the Python API runs as it is written, from top to bottom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_runs_as_written(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    (tmp_path / "page.py").write_text("\n".join(blocks))
    # folders of the user's own, named as parts of this project are
    for name in ("analysis", "deploy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a folder of the user was imported')\n")
    done = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=180,
                          check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get(
                              "PYTHONPATH", "")])})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "notebook" / "report.html").stat().st_size > 0
    assert "output_tokens_per_s" in done.stdout
