"""`python -m fmload`: the same as the `fmload` command."""

import sys

from fmload.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
