"""`python -m fmload`: the same as the `fmload` command."""

from fmload.base.leaving import ended_by
from fmload.cli.main import main


def command() -> None:
    """The `fmload` command as a process."""
    ended_by(main)


if __name__ == "__main__":
    command()
