"""Locust's processes are alike, forked from one that has imported Locust or each started by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.launch import forks
from fmload.launch.forks import Command, Process

# A locustfile that tells of its process, and ends it.
PROBE = """
import gc, json, os, sys
print("said")
with open(os.environ["FOLDER"] + f"/{os.getpid()}.json", "w") as file:
    json.dump({"parent": os.getppid(), "session": os.getsid(0), "argv": sys.argv[1:],
               "line": open("/proc/self/cmdline").read().rstrip(chr(0)).split(chr(0)),
               "secret": os.environ["SECRET"], "stdin": os.read(0, 1).decode(), "run_file": open(sys.argv[-1]).read(),
               "collected": gc.isenabled(),
               "descriptors": sorted(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
                                     if os.path.exists(f"/proc/self/fd/{name}"))}, file)
sys.exit(7)
"""


@pytest.fixture(params=["forked", "each by itself"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "each by itself":
        monkeypatch.setattr(forks, "_set_subreaper", lambda on: False)
    return str(request.param)


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "FOLDER": str(folder), "PYTHONSAFEPATH": "1"}


def told(folder: Path, pid: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{pid}.json").read_text())
    return found


def test_a_process_has_its_command_its_log_the_run_file_and_the_secrets_and_is_a_child_of_this_one(
        way: str, tmp_path: Path) -> None:
    probe, text = tmp_path / "probe.py", tmp_path / "run.yml"
    probe.write_text(PROBE)
    text.write_text("hush")
    with text.open() as file:
        words = ["-f", str(probe), "--worker", f"/dev/fd/{file.fileno()}"]
        master = Command(["-f", str(probe), "--master", "--master-bind-port", "5557", words[-1]], tmp_path / "a.log")
        commands = [master, Command(words, tmp_path / "b.log")]
        with forks.started(environment(tmp_path), file.fileno()) as start:
            start(commands, {"SECRET": "s3cret"}, processes := [])
            assert [process.wait(60) for process in processes] == [7, 7]
    for command, process in zip(commands, processes, strict=True):
        found = told(tmp_path, process.pid)
        assert found["parent"] == os.getpid() and found["session"] == process.pid
        assert found["argv"] == list(command.words) and found["line"][1:] == command.line[1:]
        assert (found["secret"], found["stdin"], found["run_file"]) == ("s3cret", "", "hush")
        assert command.log.read_text() == "said\n" and found["collected"]
        assert process.returncode == 7 and process.poll() == 7
        process.send_signal(9)  # it has ended: nothing


def test_a_process_can_be_interrupted_where_a_script_has_started_the_run_in_its_background(
        way: str, tmp_path: Path) -> None:
    probe, told_in = tmp_path / "probe.py", tmp_path / "told"
    probe.write_text(f"import signal; open({str(told_in)!r}, 'w').write(repr(signal.getsignal(signal.SIGINT)))")
    command = Command(["-f", str(probe)], tmp_path / "a.log")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with forks.started(environment(tmp_path), os.open(os.devnull, os.O_RDONLY)) as start:
            start([command], {}, processes := [])
            processes[0].wait(60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "default_int_handler" in told_in.read_text()


def test_without_a_word_nothing_is_forked_and_the_import_ends(tmp_path: Path) -> None:
    with forks.started(environment(tmp_path), os.open(os.devnull, os.O_RDONLY)):
        pass
    assert not list(tmp_path.iterdir())


def test_a_locust_that_cannot_be_imported_is_told_with_its_last_words(way: str, tmp_path: Path) -> None:
    (tmp_path / "locust.py").write_text("raise ImportError('no such thing as Locust')")
    broken = {**environment(tmp_path), "PYTHONPATH": str(tmp_path)}
    command = Command(["-f", "x.py"], tmp_path / "a.log")
    with forks.started(broken, os.open(os.devnull, os.O_RDONLY)) as start:
        if way == "forked":
            with pytest.raises(FmloadError, match="no such thing as Locust"):
                start([command], {}, [])
        else:
            start([command], {}, processes := [])
            assert processes[0].wait(60) == 1


@pytest.mark.parametrize("says", ["from fmload.locust.master_first import listening\nlistening()\ntime.sleep(600)", ""],
                         ids=["it listens", "it ends"])
def test_the_workers_of_a_host_begin_when_its_master_listens_or_is_gone(says: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    (tmp_path / "master.py").write_text(f"""
import time
time.sleep(0.5)
open({str(seen)!r}, "a").write("the master is there\\n")
{says}
raise SystemExit(7)
""")
    (tmp_path / "worker.py").write_text(f"open({str(seen)!r}, 'a').write('a worker begins\\n')\nraise SystemExit(7)")
    words = [["-f", str(tmp_path / "master.py"), "--master"], *[["-f", str(tmp_path / "worker.py"), "--worker"]] * 2]
    commands = [Command(each, tmp_path / f"{number}.log") for number, each in enumerate(words)]
    processes: list[Process] = []
    with forks.started(environment(tmp_path), os.open(os.devnull, os.O_RDONLY)) as start:
        start(commands, {}, processes)
    try:
        assert [worker.wait(60) for worker in processes[1:]] == [7, 7]
        assert seen.read_text().splitlines() == ["the master is there", *["a worker begins"] * 2]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def test_what_is_said_while_locust_is_imported_goes_to_the_log_of_the_master(way: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.stderr.write('old glibc\\n')")
    (tmp_path / "probe.py").write_text("raise SystemExit(7)")
    command = Command(["-f", str(tmp_path / "probe.py")], tmp_path / "a.log")
    warned = {**environment(tmp_path), "PYTHONPATH": str(tmp_path)}
    with forks.started(warned, os.open(os.devnull, os.O_RDONLY)) as start:
        start([command], {}, processes := [])
        assert processes[0].wait(60) == 7
    assert "old glibc" in command.log.read_text()


def test_a_wait_that_is_over_is_told_as_subprocess_does(tmp_path: Path) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text("import time; time.sleep(600)")
    command = Command(["-f", str(probe)], tmp_path / "a.log")
    with forks.started(environment(tmp_path), os.open(os.devnull, os.O_RDONLY)) as start:
        start([command], {}, processes := [])
        process, = processes
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    assert process.poll() is None
    process.send_signal(9)
    assert process.wait(10) == -9


def test_the_import_of_locust_ends_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    server = subprocess.Popen([sys.executable, "-P", "-m", "fmload.locust.fork_server"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    server.communicate(b"")
    assert server.returncode == 0


@contextmanager
def idle_processes(folder: Path, **more: str) -> Iterator[tuple[forks.Start, list[Command]]]:
    """What starts a master and two workers that do nothing for ten minutes."""
    probe = folder / "probe.py"
    probe.write_text("import time; time.sleep(600)")
    commands = [Command(["-f", str(probe)], folder / f"{name}.log") for name in "abc"]
    with forks.started({**environment(folder), **more}, os.open(os.devnull, os.O_RDONLY)) as start:
        yield start, commands


def end(processes: list[Process]) -> None:
    for process in processes:
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_interrupts_while_processes_start_does_so_once_they_are_known(
        way: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_ctrl_c(number: int, frame: Any) -> None:
        raise KeyboardInterrupt
    before = signal.signal(number, as_ctrl_c)
    processes: list[Process] = []
    try:
        with idle_processes(tmp_path) as (start, commands):
            fork = subprocess.Popen.communicate if way == "forked" else subprocess.Popen.__init__

            def disturbed(*arguments: Any, **more: Any) -> Any:
                os.kill(os.getpid(), number)
                return fork(*arguments, **more)
            monkeypatch.setattr(subprocess.Popen, fork.__name__, disturbed)
            with pytest.raises(KeyboardInterrupt):
                start(commands, {}, processes)
    finally:
        signal.signal(number, before)
        monkeypatch.undo()
    assert len(processes) == (3 if way == "forked" else 1)
    end(processes)


def test_a_fork_that_the_system_refuses_is_told_in_a_line_and_those_before_it_are_known(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("""
import os
fork, forked = os.fork, []
def limited():
    if len(forked) == 2:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    forked.append(1)
    return fork()
os.fork = limited
""")
    processes: list[Process] = []
    with (idle_processes(tmp_path, PYTHONPATH=str(tmp_path)) as (start, commands),
          pytest.raises(FmloadError, match="no more processes be forked: Resource temporarily") as told):
        start(commands, {}, processes)
    assert "Traceback" not in str(told.value) and len(processes) == 2
    end(processes)
