"""The code that an answer holds, and whether it passes its tests. Runs it: a process of its own, see `passes`."""

from __future__ import annotations

import json
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError

_BLOCK = re.compile(r"(?:```|~~~)[ \t]*(?:python3?|py)?[ \t]*\r?\n(.*?)(?:```|~~~|\Z)", re.DOTALL | re.IGNORECASE)
_RUNNER = Path(__file__).with_name("run_code.py")
_LIMIT_S, _MEMORY = 10, 1 << 30


def passes(answer: str, truth: str) -> bool:
    """Whether the code of the answer passes the tests: run in a process of its own, without environment, in an empty
    folder, with limits of time, memory, files and processes. It is no sandbox: trust the model, or use a container.
    Code that ends its process before the last test has not passed, however it ends. Raises FmloadError where the ground
    truth is no task of HumanEval's form."""
    task = _task(truth)
    token = secrets.token_hex(16)
    parts = [*_code(answer, task), task["test"], f"check({task['entry_point']})"]
    program = json.dumps({"token": token, "parts": parts}).encode()
    with tempfile.TemporaryDirectory(prefix="fmload-code-") as folder, tempfile.TemporaryFile() as told:
        _run(program, folder, told)
        told.seek(0)
        return told.read(2 * len(token)).decode(errors="replace") == token


def _run(program: bytes, folder: str, told: Any) -> None:
    """Run the program; what it leaves running ends with it."""
    with subprocess.Popen([sys.executable, "-I", "-S", str(_RUNNER)], stdin=subprocess.PIPE, cwd=folder, env={},
                          stdout=told, stderr=subprocess.DEVNULL, preexec_fn=_limited,
                          start_new_session=True) as process:
        try:
            process.communicate(program, timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _code(answer: str, task: Mapping[str, str]) -> list[str]:
    """What is run before the tests: the imports and helpers of the task, then the function that the answer holds; or
    the task with what the answer completes it by."""
    prompt = task["prompt"]
    defines = re.compile(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{re.escape(task['entry_point'])}\b", re.MULTILINE)
    blocks = _BLOCK.findall(answer)
    code = next((block for block in reversed(blocks) if defines.search(block)), blocks[-1] if blocks else answer)
    if not defines.search(code):
        return [prompt + _body(prompt, code)]
    begin = defines.search(prompt)
    return [prompt[:begin.start()] if begin else "", textwrap.dedent(code)]


def _body(prompt: str, code: str) -> str:
    """Code below a signature, indented where its indentation, or that of its first line, was left out."""
    ways = [code, textwrap.indent(code, "    "), "    " + code.lstrip()]
    return next((way for way in ways if _is_python(prompt + way)), code)


def _is_python(code: str) -> bool:
    try:
        compile(code, "answer", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _task(truth: str) -> Mapping[str, str]:
    try:
        task = json.loads(truth)
        if all(isinstance(task[key], str) for key in ("prompt", "entry_point", "test")):
            return dict(task)
    except (ValueError, TypeError, KeyError):
        pass
    raise FmloadError(f"the ground truth {truth[:60]!r} of an answer in code is no task with prompt, entry_point and "
                      "test", hint="write it as humaneval's rows are, as one JSON text")


def _limited() -> None:
    for what, most in ((resource.RLIMIT_CPU, _LIMIT_S), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, 1 << 20),
                       (resource.RLIMIT_NOFILE, 32), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))
