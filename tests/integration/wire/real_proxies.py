"""Real proxies for tests: squid, plain and under TLS, and microsocks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.emulators import START_LIMIT_S
from tests.load_rig import free_port, wait_until

SQUID = """
{listens}
acl all_of_us src 127.0.0.0/8
{access}
pid_filename {folder}/squid.pid
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
cache deny all
coredump_dir {folder}
visible_hostname proxy.test
shutdown_lifetime 0 seconds
"""
OPEN = "http_access allow all_of_us"
HELPER = "#!/bin/sh\nwhile read -r line; do [ \"$line\" = 'me pw' ] && echo OK || echo ERR; done\n"
WITH_PASSWORD = """auth_param basic program {folder}/helper
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all"""


@contextmanager
def squid(access: str = OPEN, helper: str = "", certificate: Path | None = None) -> Iterator[int]:
    """A real HTTP proxy on a free port; with a certificate (`key.pem` beside it) it is spoken to under TLS."""
    program = _program("squid")
    port = free_port()
    listens = f"http_port 127.0.0.1:{port}" if certificate is None else (
        f"https_port 127.0.0.1:{port} tls-cert={certificate} tls-key={certificate.with_name('key.pem')}")
    with tempfile.TemporaryDirectory(prefix="squid") as made:  # squid leaves root, and cannot enter pytest's folders
        Path(made).chmod(0o777)
        (Path(made) / "helper").write_text(helper)
        (Path(made) / "helper").chmod(0o755)
        config = Path(made) / "squid.conf"
        config.write_text(SQUID.format(listens=listens, folder=made, access=access.format(folder=made)))
        with _running([program, "-N", "-f", str(config)], port):
            yield port


@contextmanager
def microsocks(login: tuple[str, str] | None = None) -> Iterator[int]:
    """A real SOCKS 5 proxy on a free port."""
    program, port = _program("microsocks"), free_port()
    words = ["-u", login[0], "-P", login[1]] if login else []
    with _running([program, "-i", "127.0.0.1", "-p", str(port), *words], port):
        yield port


def _program(name: str) -> str:
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        reason = f"NO {name.upper()}: proxies are not tested with a real one (apt-get install {name})"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    return program


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), START_LIMIT_S, command[0])
        assert process.poll() is None, f"{command} has ended"
        yield
    finally:
        process.terminate()
        process.wait(15)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
