"""The page docs/extending.md, made from `fmload.plugins` and the example: `python -m tests.extending` writes it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fmload import plugins
from fmload.base.registry import Registry

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
EXAMPLE = ROOT / "docs" / "examples" / "extension"
_HEAD = """# Extending fmload

Made from `fmload/plugins.py` and `docs/examples/extension` by `python -m tests.extending`.

A distribution of your own adds to any of the tables below by an entry point; no file of fmload is touched. Keys of an
entry's `Options` are checked, suggested ("did you mean") and described in the JSON Schema of the run file like our own.
The folder `docs/examples/extension` is such a distribution, with a short file for every table; a test installs and runs
it:

```sh
pip install docs/examples/extension
```

An entry that cannot be used is told with the name of its distribution, and so is a name that two of them claim, or that
is one of ours. A broken metric, check or section is told before the load, not after it.

In this repository an entry is one file and one line in `fmload/plugins.py`.

| what | group of entry points | entries here |
|---|---|---|
"""


def tables() -> list[Registry]:
    """Every table, in the order of the file."""
    return [table for table in vars(plugins).values() if isinstance(table, Registry)]


def page() -> str:
    """The whole page."""
    rows = [f"| {table.kind} | `{table.group}` | {_names(table)} |" for table in tables()]
    return _HEAD + "\n".join(rows) + "\n" + "".join(map(_section, tables()))


def _names(table: Registry) -> str:
    return ", ".join(f"`{name}`" for name in table.own()) or "those of `fmload.metrics.definitions`"


def _section(table: Registry) -> str:
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    (name, target), = points[table.group].items()
    module = target.partition(":")[0].rpartition(".")[2]
    code = (EXAMPLE / "fmload_example" / f"{module}.py").read_text().rstrip("\n")
    return (f"\n## {table.kind[0].upper()}{table.kind[1:]}\n\n{table.about}\n\n"
            f"```toml\n[project.entry-points.\"{table.group}\"]\n{name} = \"{target}\"\n```\n\n"
            f"```python\n{code}\n```\n")


if __name__ == "__main__":
    PAGE.write_text(page())
