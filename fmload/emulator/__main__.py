"""`python -m fmload.emulator`: the same as `fmload emulate`."""

from __future__ import annotations

import sys

from fmload.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["emulate", *sys.argv[1:]]))
