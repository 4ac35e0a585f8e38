"""The one exception family that users see: a message that names the thing, a hint that names the remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_OBJECTIVES = 3
EXIT_INVALID = 4
EXIT_DISK_FULL = 5
EXIT_BUDGET = 6
EXIT_INTERRUPTED = 130

_TOLD = 5  # failures of one pass that are told in words


class FmloadError(Exception):
    """An expected failure. Printed without a traceback (unless --debug); `exit_code` ends the process."""

    def __init__(self, message: str, hint: str | None = None, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def told(self) -> list[str]:
        """In lines of a list: what is wrong and its remedy."""
        return [f"{self.message}; {self.hint}" if self.hint else self.message]


def first_line(error: BaseException) -> str:
    """What another library's error says, without its further lines; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


def disk_full(error: OSError) -> bool:
    """Whether the disk, a quota or a limit of the process refuses more bytes."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)


def refused_by_disk(error: OSError, what: str, hint: str | None = None) -> FmloadError:
    """The message for what could not be written; its exit code says that the disk is full."""
    if disk_full(error):
        return FmloadError(f"disk full: {what}", hint, EXIT_DISK_FULL)
    return FmloadError(f"{what}: {error.strerror or error}", hint, EXIT_INVALID)


class SeveralErrors(FmloadError):
    """Failures of one pass, told together: the first few of `count`."""

    def __init__(self, errors: Sequence[FmloadError], count: int) -> None:
        self.errors, self.more = errors, count - len(errors)
        hints = list(dict.fromkeys(error.hint for error in errors))
        lines = self.told() if len(hints) > 1 else [error.message for error in errors] + self._rest()
        super().__init__("\n".join((f"{count:,} problems", *lines)), hints[0] if len(hints) == 1 else None,
                         max(error.exit_code for error in errors))

    def told(self) -> list[str]:
        return [line for error in self.errors for line in error.told()] + self._rest()

    def _rest(self) -> list[str]:
        return [f"… and {self.more:,} more"] if self.more else []


class Faults:
    """Takes the failures of a pass that goes on after the first of them; `check` ends it."""

    def __init__(self) -> None:
        self._errors: list[FmloadError] = []
        self._count = 0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps an FmloadError that ends the block."""
        try:
            yield
        except FmloadError as error:
            self.add(error)

    def add(self, error: FmloadError) -> None:
        """Keep one failure, or those that came together, each once; many are counted only."""
        known = [one.message for one in self._errors]
        several = error if isinstance(error, SeveralErrors) else SeveralErrors([error], 1)
        parts = [one for one in several.errors if one.message not in known]
        self._count += len(parts) + several.more
        self._errors += parts[:_TOLD - len(self._errors)]

    def check(self) -> None:
        """Raises what was kept: one failure as it is, several as SeveralErrors."""
        if self._count == 1:
            raise self._errors[0]
        if self._count:
            raise SeveralErrors(self._errors, self._count)
