"""The one exception family that users see: a message that names the thing, a hint that names the remedy."""

from __future__ import annotations

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_OBJECTIVES = 3
EXIT_INVALID = 4
EXIT_INTERRUPTED = 130


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
