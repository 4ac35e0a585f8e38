"""Run by itself, as a process: the parts of a program, one after the other in one module, and then a token on what was
its standard output. Only code that came to its end leaves the token; what it prints goes nowhere. Needs nothing but
Python's own library."""

from __future__ import annotations

import json
import os
import sys
from types import ModuleType


def main() -> None:
    """Reads `{"token", "parts"}` from standard input."""
    asked = json.load(sys.stdin)
    told, nowhere = os.dup(1), os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    module = sys.modules["answer"] = ModuleType("answer")
    for part in asked["parts"]:
        exec(compile(part, "answer", "exec", dont_inherit=True), vars(module))
    os.write(told, asked["token"].encode())
    os._exit(0)  # whatever threads and handlers the code left


if __name__ == "__main__":
    main()
