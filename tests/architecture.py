"""The map of the code, made from its imports: floors, circles, arrows (`python -m tests.architecture`).

A room is a folder with Python files, and each file that lies in a package itself (`fmload/plugins.py`); a room stands
one floor above the highest room that it imports. `--check` fails at a circle between rooms, at a circle between files,
above ten floors, at a loose module in `fmload/`, and at two test files of one name, which cannot be run together.
Imports inside functions and under TYPE_CHECKING count as any other: they are dependencies of the reader, too.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {"fmload": ROOT / "fmload", "fmload_analysis": ROOT / "analysis" / "fmload_analysis",
            "fmload_deploy": ROOT / "deploy" / "fmload_deploy"}
MOST_FLOORS = 10
SHIMS = {"fmload/plugin.py", "fmload/__init__.py"}  # they re-export, and are no rooms
FACES = {"fmload/__init__.py", "fmload/__main__.py", "fmload/api.py", "fmload/plugin.py", "fmload/plugins.py"}

Graph = Mapping[str, set[str]]


@cache
def known() -> dict[str, Path]:
    """Every module of the installed packages by its dotted name; a package by its `__init__`."""
    found = {}
    for name, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [name, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """The modules that a file imports, by statements anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole if whole <= set(known()) else whole | {node.module}
    return found & set(known())


@cache
def files() -> dict[str, set[str]]:
    """File to file, by dotted names."""
    return {name: imports(path) - {name} for name, path in known().items()}


def room_of(module: str) -> str:
    """The folder in which a module lies; files of the packages themselves are rooms of their own, entries are none."""
    path = known()[module]
    return str((path if path.parent in PACKAGES.values() else path.parent).relative_to(ROOT))


def rooms() -> dict[str, set[str]]:
    """Room to room."""
    graph: dict[str, set[str]] = {}
    for module, targets in files().items():
        if known()[module].name == "__main__.py" or str(known()[module].relative_to(ROOT)) in SHIMS:
            continue
        graph.setdefault(room_of(module), set()).update(room_of(target) for target in targets)
    return {room: targets - {room} for room, targets in graph.items()}


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan's strongly connected components of more than one node)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def floors(graph: Graph) -> dict[str, int]:
    """The floor of every room, from 1; rooms of a circle stand on one floor."""
    group_of = {node: tuple(group) for group in circles(graph) for node in group}

    @cache
    def floor(node: str) -> int:
        together = group_of.get(node, (node,))
        below = {target for one in together for target in graph.get(one, ())} - set(together)
        return 1 + max((floor(target) for target in below), default=0)

    return {node: floor(node) for node in graph}


def loose() -> list[str]:
    """Modules that lie in `fmload/` itself and are no faces."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "fmload").glob("*.py")
                  if str(path.relative_to(ROOT)) not in FACES)


def twins(paths: Iterable[Path]) -> list[str]:
    """Names that several test files have."""
    names = Counter(path.name for path in paths)
    return sorted(name for name, times in names.items() if times > 1)


def problems() -> list[str]:
    """What breaks the rules, in words."""
    high = max(floors(rooms()).values())
    found = [f"circle of rooms: {' – '.join(group)}{_ties(group)}" for group in circles(rooms())]
    found += [f"circle of files: {' – '.join(group)}" for group in circles(files())]
    found += [f"{high} floors, {MOST_FLOORS} at most"] if high > MOST_FLOORS else []
    found += [f"several test files are called {name}" for name in twins((ROOT / "tests").rglob("test_*.py"))]
    return found + [f"{path} lies loose: give it a room" for path in loose()]


def _ties(group: Iterable[str]) -> str:
    rooms_of_circle = set(group)
    lines = [f"\n    {source} → {target}" for source, targets in sorted(files().items()) for target in sorted(targets)
             if room_of(source) != room_of(target) and {room_of(source), room_of(target)} <= rooms_of_circle]
    return "".join(lines)


def picture(arrows: bool) -> str:
    """The floors from the top down, with the rooms and their files; with `arrows`, what each room imports."""
    graph = rooms()
    at = floors(graph)
    count = {room: sum(room_of(module) == room for module in files()) for room in graph}
    lines = [f"{len(graph)} rooms, {max(at.values())} floors, {sum(map(len, graph.values()))} arrows, "
             f"{len(circles(graph))} circles"]
    lines += [f"floor {floor:2}  " + ", ".join(f"{room} ({count[room]})" for room in sorted(graph) if at[room] == floor)
              for floor in range(max(at.values()), 0, -1)]
    if arrows:
        lines += [f"{room} → {', '.join(sorted(targets)) or 'nothing'}" for room, targets in sorted(graph.items())]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="The map of the code, made from its imports.")
    parser.add_argument("--check", action="store_true", help="fail where the rules are broken")
    parser.add_argument("--arrows", action="store_true", help="also what each room imports")
    args = parser.parse_args()
    wrong = problems()
    if not args.check:
        print(picture(args.arrows))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return int(args.check and bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
