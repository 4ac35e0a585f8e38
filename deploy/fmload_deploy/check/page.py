"""docs/recipes.md: what the check reckons for every recipe (`python -m fmload_deploy.check.page`)."""

from __future__ import annotations

from pathlib import Path

from fmload.base.resources import resource
from fmload.config.loading import load
from fmload_deploy.check.check import checked
from fmload_deploy.check.rows import Row

_COLUMNS = ("machine", "memory", "disk", "compile", "names")
_HEAD = """# Recipes

What `fmload deploy check --offline` reckons for every run file of `configs/` that deploys to AWS, from the dated tables
`accelerators.yml`, `models.yml` and `images.yml`. None of them has run on AWS yet (docs/deploy.md); the source of each
one's settings stands at its head. Made by `python -m fmload_deploy.check.page`.

| recipe | machine | memory | disk | compiling | model's name |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page's text."""
    lines = []
    for path in sorted(resource("configs").glob("*.yml")):
        if "\nendpoints:" in path.read_text(encoding="utf-8"):
            rows = {row.what: row for row in checked(load(path), None)}
            if "memory" in rows:
                cells = (_cell(rows.get(column)) for column in _COLUMNS)
                lines.append(f"| `{path.stem}` | {' | '.join(cells)} |")
    return _HEAD + "\n".join(lines) + "\n"


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    return row.detail if row.state == "ok" else f"**{row.state}**: {row.detail}"


if __name__ == "__main__":
    Path("docs/recipes.md").write_text(page(), encoding="utf-8")
