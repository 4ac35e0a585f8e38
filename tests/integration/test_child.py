"""Who gets a Ctrl-C: the process that was asked to run, which passes it on once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load_rig import wait_until

CHILD = """
import pathlib, sys, time
told = pathlib.Path(sys.argv[1])
told.write_text("started ")
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        told.write_text(told.read_text() + "interrupted ")
        if len(sys.argv) > 2:
            break
"""
PARENT = """
import subprocess, sys, time
from fmload.base.child import apart
process = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], **apart())
print(process.pid, flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("parent interrupted", flush=True)
    time.sleep(1)
"""


@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_is_interrupted_when_its_parent_is_gone(tmp_path: Path, ended: signal.Signals) -> None:
    told = tmp_path / "told"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, str(told), "once"], stdout=subprocess.PIPE)
    wait_until(lambda: told.exists() and "started" in told.read_text(), 60, "the child")
    parent.send_signal(ended)
    parent.wait()
    wait_until(lambda: "interrupted" in told.read_text(), 60, "the interrupt")


def test_a_ctrl_c_of_the_whole_group_reaches_the_parent_alone(tmp_path: Path) -> None:
    told = tmp_path / "told"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, str(told)], stdout=subprocess.PIPE, text=True,
                              start_new_session=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    wait_until(lambda: told.exists() and "started" in told.read_text(), 60, "the child")
    os.killpg(parent.pid, signal.SIGINT)
    assert "parent interrupted" in parent.stdout.readline()
    assert told.read_text() == "started "
    parent.wait()
    os.kill(child, signal.SIGKILL)
