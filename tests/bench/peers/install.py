"""The tools' own environments: DIR/NAME for each line of `versions.txt`, and which versions are there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.tool import Tool

VERSIONS = Path(__file__).with_name("versions.txt")


def requirements() -> dict[str, str]:
    """Distribution → what pip is asked for."""
    lines = [line for line in VERSIONS.read_text().splitlines() if line and not line.startswith("#")]
    return {re.split(r"[\[=]", line)[0]: line for line in lines}


def install(where: Path, only: Sequence[str] = ()) -> list[str]:
    """Makes the environments; returns those that could not be made, each with pip's last words."""
    failed = []
    for package, asked in requirements().items():
        if only and package not in only:
            continue
        print(f"{asked} into {where / package} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(where / package)], check=True)
        done = subprocess.run([str(where / package / "bin" / "pip"), "install", "--quiet", *asked.split()], text=True,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode:
            failed.append(f"{asked}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'pip failed'}")
    return failed


def programs_of(tool: Tool, where: Path) -> Path:
    """The folder of the programs of the tool's environment."""
    return Path(sys.executable).parent if tool.installed else where / tool.package / "bin"


def version(tool: Tool, where: Path) -> str | None:
    """The version that is there; None where the tool is not."""
    programs = programs_of(tool, where)
    if not (programs / tool.program).exists():
        return None
    asked = f"from importlib.metadata import version; print(version({tool.package!r}))"
    done = subprocess.run([str(programs / "python"), "-c", asked], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
