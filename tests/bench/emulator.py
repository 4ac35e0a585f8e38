"""What the emulator itself can serve on one core: `python -m tests.bench.emulator [--streams 256] [--seconds 8]`.

A reader that only drains sockets runs in this process; the emulator's own CPU time is read from the kernel, so the
figure is tokens per second of the emulator's CPU, and does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from fmload.emulator import truth
from tests.load_rig import Server, emulator


@dataclass
class Load:
    """Streams, tokens a stream, and the emulator's options."""

    name: str
    streams: int
    tokens: int
    options: list[str]


def main(argv: Sequence[str] | None = None) -> None:
    """Prints one line a load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=8.0)
    args = parser.parse_args(argv)
    loads = [
        Load("no gap", args.streams, 256, ["--profile", "instant"]),
        Load("20 ms gap", args.streams, 256, ["--ttft", "200ms", "--gap", "20ms"]),
        Load("20 ms gap, 1,024 streams", 1024, 256, ["--ttft", "200ms", "--gap", "20ms"]),
        Load("20 ms gap, TLS", args.streams, 256, ["--ttft", "200ms", "--gap", "20ms", "--tls"]),
        Load("short answers, no gap", args.streams, 2, ["--profile", "instant"]),
        Load("batched engine", 64, 256, ["--profile", "llama3-8b-g5.xlarge"]),
    ]
    print(f"{'load':<28}{'tokens/s':>10}{'CPU s':>8}{'tokens/s of CPU':>17}{'µs/token':>10}  true gap p50/p99 ms")
    for load in loads:
        print(measure(load, args.seconds), flush=True)


def measure(load: Load, seconds: float) -> str:
    """One line of figures."""
    with tempfile.TemporaryDirectory() as folder:
        with emulator(Path(folder), *load.options) as server:
            process = psutil.Process(server.process.pid)
            before = process.cpu_times()
            started = time.monotonic()
            _drain(server, load, seconds)
            wall = time.monotonic() - started
            after = process.cpu_times()
            server.process.terminate()  # what is in flight is logged
            server.process.wait(10)
        records = truth.read(server.truth_log)
    tokens = sum(sum(record.token_counts) for record in records)
    cpu = after.user + after.system - before.user - before.system
    gaps = sorted(b - a for r in records for a, b in zip(r.token_ns[:-1], r.token_ns[1:], strict=True))
    return (f"{load.name:<28}{tokens / wall:>10.0f}{cpu:>8.2f}{tokens / cpu:>17.0f}{cpu / tokens * 1e6:>10.2f}"
            f"  {statistics.median(gaps) / 1e6:.2f} / {gaps[int(len(gaps) * 0.99)] / 1e6:.2f}")


def _drain(server: Server, load: Load, seconds: float) -> None:
    """Keeps `load.streams` requests in flight until the time is over, reading and discarding."""
    parts = urlsplit(server.url)
    body = json.dumps({"model": "m", "stream": True, "max_tokens": load.tokens,
                       "messages": [{"role": "user", "content": "word " * 64}]}).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(load.streams):
        sock = socket.create_connection((parts.hostname, parts.port))
        if server.ca_file is not None:
            sock = ssl.create_default_context(cafile=server.ca_file).wrap_socket(sock, server_hostname=parts.hostname)
        sock.setblocking(False)
        sockets[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
        sock.send(request)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for descriptor, _ in poll.poll(0.5):
            sock = sockets[descriptor]
            if _all(sock).endswith(b"\r\n0\r\n\r\n"):
                sock.send(request)
    for sock in sockets.values():
        sock.close()


def _all(sock: socket.socket) -> bytes:
    """Whatever is there, the last piece of it."""
    last = b""
    try:
        while piece := sock.recv(1 << 20):
            last = piece
            if not isinstance(sock, ssl.SSLSocket):
                break
    except ssl.SSLWantReadError:
        pass
    return last


if __name__ == "__main__":
    main()
