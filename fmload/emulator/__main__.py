"""`python -m fmload.emulator`: the same as `fmload emulate`."""

from __future__ import annotations

import argparse
import sys

from fmload.base.errors import FmloadError
from fmload.emulator.program import run
from fmload.emulator.settings import add_arguments


def main() -> int:
    parser = argparse.ArgumentParser(prog="fmload.emulator", description="An LLM server that knows the truth.")
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except FmloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
