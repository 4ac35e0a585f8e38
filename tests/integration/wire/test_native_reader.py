"""The native reader by itself: built where there is a compiler, its thread in this process alone, bounded, quiet."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import gevent
import pytest

from fmload.base.errors import FmloadError
from fmload.wire import native
from fmload.wire import reader as readers
from fmload.wire.exchange import Address, HttpRequest, Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.wire.reader import reader_of, told
from tests.integration.wire.served import serving, until

needs_it = pytest.mark.skipif(bool(readers.WHY_NOT), reason=f"NO NATIVE READER ({readers.WHY_NOT})")
POST = HttpRequest("POST", "/", {}, b"{}")
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = HEAD + b"3\r\none\r\n0\r\n\r\n"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def build_script() -> ModuleType:
    path = Path(__file__).parents[3] / "hatch_build.py"
    spec = importlib.util.spec_from_file_location("hatch_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_compiles_without_a_warning_and_without_a_compiler_one_line_says_why(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = build_script()
    assert script.compile_to(tmp_path / "made.so", "-Werror") is None and (tmp_path / "made.so").stat().st_size > 10_000
    monkeypatch.setenv("CC", "/absent/cc")
    why_not = script.compile_to(tmp_path / "not.so")
    assert "no C compiler" in why_not and "\n" not in why_not
    monkeypatch.setenv("CC", "false")
    assert "does not compile" in script.compile_to(tmp_path / "not.so")


def test_without_it_auto_is_python_native_is_refused_with_a_remedy_and_one_line_says_so(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "WHY_NOT", "No module named '_native_reader'")
    assert (reader_of("auto"), reader_of("python"), Http1Wire().reader) == ("python", "python", "python")
    with pytest.raises(FmloadError, match="not installed here") as refused:
        Http1Wire(reader="native")
    assert "compiler" in str(refused.value.hint)
    assert told().startswith("reader: python") and "compiler" in told() and "\n" not in told()


@needs_it
def test_with_it_auto_is_native_and_python_can_be_asked_for() -> None:
    assert (Http1Wire().reader, Http1Wire(reader="python").reader) == ("native", "python")
    assert told().startswith("reader: native") and told("python").startswith("reader: python")


@needs_it
def test_python_is_woken_once_a_response_and_every_read_is_stamped(monkeypatch: pytest.MonkeyPatch) -> None:
    wakes = []
    pull = native.NativeConnection.pull
    monkeypatch.setattr(native.NativeConnection, "pull", lambda self: (
        wakes.append(1) if self._receiver is not None else None, pull(self))[1])  # not idle ones of earlier tests
    with serving([HEAD, *([0.01, b"3\r\none\r\n"] * 30), b"0\r\n\r\n"]) as server:
        exchange = Http1Wire(reader="native").exchange(Address("127.0.0.1", server.port), POST, lambda _: True)
    assert (exchange.failure, exchange.body) == (None, b"one" * 30)
    assert len(exchange.marks) >= 25 and all(mark.kernel for mark in exchange.marks)
    assert len(wakes) <= 2


@needs_it
def test_a_look_in_between_changes_nothing() -> None:
    """Deadlines and the live view take what has come; the thread goes on from there."""
    with serving([HEAD[:20], 0.03, HEAD[20:], *([0.01, b"3\r\nt", 0.01, b"ok\r\n"] * 20), b"0\r\n\r\n"]) as server:
        wire = Http1Wire(reader="native")
        request = gevent.spawn(wire.exchange, Address("127.0.0.1", server.port), POST, lambda body: b"tok" in body)
        seen = []
        while not request.ready():
            seen += [list(flight.token_reads()) for _, flight in wire.under_way()]
            gevent.sleep(0.003)
        exchange = request.get()
    assert (exchange.failure, exchange.body, exchange.complete) == (None, b"tok" * 20, True)
    instants = [mark.ns for mark in exchange.marks]
    assert len(seen) > 20 and seen[-1]
    assert all(one == instants[instants.index(one[0]):][:len(one)] for one in seen if one)
    assert [mark.end for mark in exchange.marks] == sorted(mark.end for mark in exchange.marks)


@needs_it
def test_a_response_that_goes_on_beyond_its_limit_is_not_kept_while_python_is_busy(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is left alone, and the server waits; then it is one failed request."""
    sizes = []
    tell_each = native.NativeConnection._tell_each
    monkeypatch.setattr(native.NativeConnection, "_tell_each", lambda self, reads: (
        sizes.append(sum(len(data) for data, _, _ in reads)), tell_each(self, reads))[1])
    with serving([HEAD, 0.1, b"4000000\r\n", *([b"x" * (1 << 20)] * 64), b"\r\n0\r\n\r\n"]) as server:
        wire = Http1Wire(reader="native", max_body_bytes=100_000)
        request = gevent.spawn(wire.exchange, Address("127.0.0.1", server.port), POST, lambda _: True)
        until(lambda: bool(server.requests))
        held_until = time.monotonic() + 0.7
        while time.monotonic() < held_until:  # the interpreter is held
            pass
        exchange = request.get(timeout=20)
    assert exchange.failure is not None and exchange.failure.outcome == "decode"
    assert 100_000 < max(sizes) < 1_000_000


@needs_it
def test_its_thread_ends_with_it_and_what_is_open_can_only_be_closed_then() -> None:
    reader = native.native.Reader()
    one, other = socket.socketpair()
    one.setblocking(False)
    connection = reader.connection(one.detach(), True, False)
    assert connection.send(b"x", False, False, 10) > 0 and other.recv(10) == b"x"
    reader.close()
    assert not reader.runs() and reader.ready() == [] and not connection.usable()
    with pytest.raises(OSError, match="not running"):
        connection.send(b"x", False, False, 10)
    connection.close()
    connection.close()
    assert other.recv(10) == b""
    with pytest.raises(OSError, match="closed"):
        connection.take()


CHILD = """
import os, sys, gevent
from fmload.wire import native
from fmload.wire.exchange import Address, HttpRequest
from fmload.wire.http1 import Http1Wire

address = Address("127.0.0.1", int(sys.argv[1]))
wire = Http1Wire(reader="native")
post = HttpRequest("POST", "/", {}, b"{}")
assert wire.exchange(address, post, lambda _: True).body == b"one"
child = gevent.fork()
if child == 0:
    kept = wire._idle[address][0]
    assert not kept.usable()
    kept.close()
    assert Http1Wire(reader="native").exchange(address, post, lambda _: True).body == b"one"
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
again = wire.exchange(address, post, lambda _: True)
assert again.body == b"one" and again.reused, again
"""


@needs_it
def test_a_fork_leaves_the_parents_connections_alone_and_the_child_makes_a_thread_of_its_own() -> None:
    with serving([OK]) as server:
        done = subprocess.run([sys.executable, "-c", CHILD, str(server.port)], timeout=60, check=False,
                              capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


SIGNALLED = """
import os, signal, sys, time
from fmload.wire import native
reader = native.native.Reader()
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
print("ready", flush=True)
limit = time.monotonic() + 20
while not got and time.monotonic() < limit:
    time.sleep(10)
sys.exit(0 if got and time.monotonic() < limit else 1)
"""


@needs_it
def test_signals_go_to_pythons_main_thread() -> None:
    with subprocess.Popen([sys.executable, "-c", SIGNALLED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGUSR1)
        assert process.wait(15) == 0


@needs_it
def test_a_wire_over_connections_that_come_and_go_leaves_no_descriptor() -> None:
    with serving([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"]) as server:
        wire, address = Http1Wire(Timeouts(connect_s=5), reader="native"), Address("127.0.0.1", server.port)
        wire.exchange(address, POST, lambda _: True)
        before, owned = open_files(), len(native._hubs[gevent.get_hub()]._owners)
        for _ in range(200):
            assert wire.exchange(address, POST, lambda _: True).body == b"hi"
        until(lambda: open_files() <= before + 8)
        assert len(native._hubs[gevent.get_hub()]._owners) <= owned + 8
