"""A run on a system without Linux's own calls, as macOS is one: all of it works, and its stamps are said to be user
space's. The calls are taken away from every process of the run, the emulator's included."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from handmade import pages

from fmload.results.folder import Results
from fmload.wire.reader import reader_of
from tests import emulators
from tests.load_rig import Run, run_file

WITHOUT = '''
import ctypes, errno, os, pathlib, platform, select, socket, struct, sys

for name in ("memfd_create", "eventfd", "eventfd_write", "sched_getaffinity"):
    if hasattr(os, name):
        delattr(os, name)
del select.epoll

_cdll = ctypes.CDLL
class WithoutLinux(_cdll):
    def __getattr__(self, name):
        if name.startswith(("timerfd", "prctl")):
            raise AttributeError(name)
        return super().__getattr__(name)
ctypes.CDLL = WithoutLinux

_read_text = pathlib.Path.read_text
def read_text(self, *args, **keywords):
    if str(self).startswith("/proc/sys/kernel"):
        raise FileNotFoundError(2, "No such file or directory", str(self))
    return _read_text(self, *args, **keywords)
pathlib.Path.read_text = read_text

# setsockopt(SOL_SOCKET, SO_TIMESTAMPNS) fails, as the kernel is told by a filter of this process's system calls
arch, number = {"x86_64": (0xC000003E, 54), "aarch64": (0xC00000B7, 208)}[platform.machine()]
LOAD, EQUAL, RETURN, ALLOW, FAIL = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000 | errno.ENOPROTOOPT
steps = [(LOAD, 0, 0, 4), (EQUAL, 0, 7, arch), (LOAD, 0, 0, 0), (EQUAL, 0, 5, number), (LOAD, 0, 0, 24),
         (EQUAL, 0, 3, socket.SOL_SOCKET), (LOAD, 0, 0, 32), (EQUAL, 0, 1, 35), (RETURN, 0, 0, FAIL),
         (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
libc = _cdll(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program)) == 0, ctypes.get_errno()
pathlib.Path(os.environ["WITHOUT_LOG"]).open("a").write(sys.argv[0] + "\\n")
'''
SHORT = {"concurrency": [2], "ramp": "200ms", "warmup": "300ms", "window": "3s", "drain": "10s", "workers": 2}


def test_a_run_works_and_says_that_its_stamps_are_user_spaces(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
                   "WITHOUT_LOG": str(tmp_path / "processes"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ready, output = tmp_path / "ready", tmp_path / "emulator.log"
    with output.open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "fmload", "emulate", "--port", "0", "--ready-file", str(ready),
                                   "--ttft", "20ms", "--gap", "5ms"], env=environment, stdout=log, stderr=log)
    try:
        path = run_file(tmp_path, {"a": emulators.ready(server, ready, output)["url"]}, SHORT)
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "fmload", "run", str(path), "--out", str(tmp_path / "out")],
                              env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert time.monotonic() - began < 180
    finally:
        server.kill()
        server.wait()
    assert done.returncode in (0, 4), done.stderr  # 4: a busy machine's audit
    assert "memfd" not in done.stderr and "Traceback" not in done.stderr
    assert len((tmp_path / "processes").read_text().splitlines()) >= 5  # emulator, run, master, two workers
    run = Run(None, Results(tmp_path / "out"), tmp_path / "log")  # type: ignore[arg-type]
    records = run.records()
    assert len(records) > 20 and {record.outcome for record in records} <= {"ok", "censored"}
    assert {record.stamp for record in records} == {"user"}
    assert {worker["stamp"] for worker in run.workers()} == {"user"}
    assert {worker["reader"] for worker in run.workers()} == {reader_of("auto")}
    assert [stage["status"] for stage in run.stages()] == ["done"]
    assert "user" in pages(run.results)
