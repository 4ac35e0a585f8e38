"""Builds the native reader, `fmload/wire/_native_reader.c`, while fmload is installed or a wheel is made of it.

Where that cannot be (no compiler, no headers of Python, no Linux) one line says so and the package is pure Python.
`FMLOAD_NATIVE=no` leaves it out: the wheel is then good for every system. `FMLOAD_NATIVE=yes` makes a failure an error.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # the tests compile without the build's own packages
    BuildHookInterface = object

SOURCE = Path(__file__).parent / "fmload" / "wire" / "_native_reader.c"
TARGET = "fmload/wire/_native_reader.abi3.so"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden",
         "-fstack-protector-strong")


def compile_to(target: Path, *more: str) -> str | None:
    """Compile the extension; None when it is there, else why not, in a line."""
    if not sys.platform.startswith("linux"):
        return f"it needs Linux, and this is {sys.platform}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a Python without its lock has no stable ABI"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    headers = sysconfig.get_paths()["include"]
    command = [*compiler, *FLAGS, *more, f"-I{headers}", str(SOURCE), "-o", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no C compiler ({error})"
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200].strip())
        return f"it does not compile: {first}"
    return None


class NativeReader(BuildHookInterface):  # type: ignore[misc]
    """The hook that hatchling calls before it makes a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wish = os.environ.get("FMLOAD_NATIVE", "")
        if self.target_name != "wheel" or wish == "no":
            return
        editable = version == "editable"
        folder = Path(self.root) if editable else Path(tempfile.mkdtemp(prefix="fmload-native"))
        target = folder / TARGET if editable else folder / Path(TARGET).name
        why_not = compile_to(target)
        if why_not is not None:
            told = f"fmload without its native reader: {why_not}. The reader in Python does the same at more CPU."
            if wish == "yes":
                raise RuntimeError(told)
            self.app.display_warning(told)
        elif not editable:
            build_data["force_include"][str(target)] = TARGET
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
