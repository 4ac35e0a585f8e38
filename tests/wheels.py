"""Whether everything that fmload needs is there as a wheel: `python -m tests.wheels` (`make wheels`).

For each Python version and platform pip works out, without installing anything, what an installation would fetch under
constraints.txt when nothing may be built from source. Prints a row each; ends with 1 when one has no wheels.

pip reads the markers of a constraint (`; python_version < "3.12"`) for the Python that it runs on, not for the one
that it is asked about: those of constraints.txt are read here. Markers inside the packages asked for stay with pip.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {"Linux x86-64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
             "Linux arm64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
             "macOS arm64": ("macosx_14_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64",
                            "macosx_11_0_universal2", "macosx_10_9_universal2")}


def main() -> int:
    """Every version on every platform, or those named as arguments."""
    versions = sys.argv[1:] or VERSIONS
    failed = 0
    for version in versions:
        for name, platforms in PLATFORMS.items():
            missing = missing_wheels(version, platforms, "darwin" if name.startswith("macOS") else "linux")
            failed += bool(missing)
            print(f"Python {version}  {name:<14} {missing or 'all wheels are there'}", flush=True)
    return 1 if failed else 0


def constraints_of(version: str, system: str, text: str) -> str:
    """The lines of a constraints file that hold for a Python version on a system (linux, darwin), without markers."""
    where = {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": system}
    kept = [Requirement(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return "".join(f"{one.name}{one.specifier}\n" for one in kept if one.marker is None or one.marker.evaluate(where))


def missing_wheels(version: str, platforms: tuple[str, ...], system: str) -> str:
    """What pip misses, in its own words; empty when an installation needs no compiler."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    with tempfile.TemporaryDirectory() as folder:
        report, constraints = Path(folder) / "report.json", Path(folder) / "constraints.txt"
        constraints.write_text(constraints_of(version, system, (ROOT / "constraints.txt").read_text()))
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check",
             "--only-binary", ":all:", "--python-version", version, "--implementation", "cp", "--target", folder,
             "--constraint", str(constraints), "--report", str(report), "--ignore-installed",
             *(f"--platform={platform}" for platform in platforms), *wanted],
            capture_output=True, text=True, check=False)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if "Cannot install" in line or "No matching" in line]
            return told[0] if told else done.stderr.strip() or "pip failed"
        fetched = [one["download_info"]["url"] for one in json.loads(report.read_text())["install"]]
    return ", ".join(url.rsplit("/", 1)[-1] for url in fetched if not url.endswith(".whl"))


if __name__ == "__main__":
    sys.exit(main())
