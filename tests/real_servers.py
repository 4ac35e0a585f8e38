"""Serving stacks of others that a check starts: each a command that answers on /health once it serves."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.load_rig import Run, wait_until

_START_LIMIT_S = 900.0


@contextmanager
def serving(command: Sequence[str], url: str, log: Path, own: Mapping[str, str]) -> Iterator[None]:
    """The server while it runs, its words in `log`; `own`: variables of its environment. Ended by its handle."""
    with log.open("ab") as words:
        process = subprocess.Popen(command, stdout=words, stderr=words, env={**os.environ, **own})
    try:
        wait_until(lambda: _answers(url) or process.poll() is not None, _START_LIMIT_S, "the server")
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        yield
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    """A folder for a check: the one that is given by the options, or one that is gone at the end."""
    if folder is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
    else:
        yield folder.resolve()


def options(module: str, doc: str | None, server: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a check: `server`, the command of the server's own environment; `only`; `keep`."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=doc)
    parser.add_argument(f"--{server}", dest="server", required=True, type=_command, metavar="COMMAND",
                        help="the command of the server's own environment")
    parser.add_argument("--only", nargs="*", help="names of scenarios")
    parser.add_argument("--keep", type=_new_folder, help="keep the runs and the server's log in this new folder")
    return parser.parse_args(argv)


def _command(name: str) -> Path:
    if (found := shutil.which(name)) is None:
        raise argparse.ArgumentTypeError(f"{name} is not there: install the server into an environment of its own")
    return Path(found)


def _new_folder(name: str) -> Path:
    path = Path(name)
    try:
        if path.exists() and any(path.iterdir()):
            raise argparse.ArgumentTypeError(f"{name} is not empty: name a new folder, or remove it")
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be a folder ({error.strerror}): name another") from error
    return path


def own_folder(root: Path, scenario: str) -> Path:
    """A new folder for the run of a scenario."""
    (folder := root / re.sub(r"\W+", "-", scenario)).mkdir()
    return folder


def counted(counts: Mapping[str, int]) -> str:
    """`3 cancelled, 8 ok`."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def audited(run: Run) -> str:
    """The verdict on the run's one stage, with what the checks that failed say."""
    stage = json.loads(run.results.audit_json.read_text())["stages"][0]
    failed = [f"{check['name']} ({check['sentence']})" for check in stage["checks"] if check["result"] == "FAIL"]
    return f"{stage['audit']}{': ' + '; '.join(failed) if failed else ''}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return int(answer.status) == 200
    except OSError:
        time.sleep(0.5)  # leaves the processor to the start
        return False
