"""A process that leaves its memory to the system ends as one that does not: code, words, what is registered for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import atexit, sys, threading, time
from fmload.base.leaving import ended_by
atexit.register(lambda: print("at exit"))
class Told:
    def __del__(self): print("taken apart")
told = Told()
def late():
    time.sleep(0.05)
    print("thread")
def main():
    print("main")
    threading.Thread(target=late).start()
    {end}
{leave}
"""


def ended(end: str, leave: str) -> tuple[int, str, bool]:
    """The exit code, what was said, and whether something was wrong."""
    done = subprocess.run([sys.executable, "-c", CODE.format(end=end, leave=leave)], capture_output=True, text=True,
                          check=False, timeout=60)
    return done.returncode, done.stdout.replace("taken apart\n", ""), bool(done.stderr)


@pytest.mark.parametrize("end", ["return 3", "return None", "sys.exit()", "sys.exit(4)", "sys.exit('wrong')",
                                 "raise ValueError('wrong')"])
def test_a_process_ends_as_by_sys_exit(end: str) -> None:
    found = ended(end, "ended_by(main)")
    assert found == ended(end, "sys.exit(main())")
    assert found[1] == "main\nthread\nat exit\n"


def test_its_objects_are_not_taken_apart() -> None:
    done = subprocess.run([sys.executable, "-c", CODE.format(end="return 0", leave="ended_by(main)")],
                          capture_output=True, text=True, check=True, timeout=60)
    assert "taken apart" not in done.stdout


def test_ctrl_c_is_code_130() -> None:
    assert ended("raise KeyboardInterrupt", "ended_by(main)")[0] == 130
