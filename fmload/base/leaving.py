"""The end of a process whose memory is left to the system: to take hundreds of modules apart costs a third of a second
of a core, and in a forked process it copies most of what is shared."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from fmload.base.errors import EXIT_INTERRUPTED


def ended_by(main: Callable[[], Any]) -> NoReturn:
    """Call `main`, and end the process as `sys.exit(main())` does: its threads are waited for, what was registered with
    `atexit` is called, what was said is written."""
    try:
        sys.exit(main())
    except SystemExit as left:
        code = _code(left.code)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    for thread in threading.enumerate():
        if not thread.daemon and thread not in (threading.current_thread(), threading.main_thread()):
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it
            code = code or 120  # as Python has it
    os._exit(code)


def _code(told: Any) -> int:
    if told is None or isinstance(told, int):
        return int(told or 0) & 0xFF
    print(told, file=sys.stderr)
    return 1
