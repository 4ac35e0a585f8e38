"""The emulator as a program: serves until it is stopped."""

from __future__ import annotations

import argparse
import resource
import signal
from contextlib import suppress

from fmload.base.errors import EXIT_OK
from fmload.emulator.server import Server
from fmload.emulator.settings import Settings, from_arguments
from fmload.plugins import FORMS


def run(args: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM."""
    if args.dialect == "list":
        print("\n".join(f"{name:28} {_told(name)}" for name in FORMS.in_order()))
        return EXIT_OK
    settings = from_arguments(args)
    _allow_many_connections()
    server = Server(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: server.stop())
    url = server.listen()
    print(_greeting(url, settings, str(server.ca_file) if server.ca_file else None), flush=True)
    server.run()
    return EXIT_OK


def _told(name: str) -> str:
    """What is right about an odd form, and what it does, in the words of its function."""
    form = FORMS.load(name)
    said = str(form.change.__doc__ or "").strip().partition("\n")[0]
    return f"{form.of:10} {form.outcome:14} {said}".rstrip()


def _allow_many_connections() -> None:
    """Raises the limit of open files to what the system allows: one is needed for each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS says that there is no limit, and refuses to be asked for none
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _greeting(url: str, settings: Settings, ca_file: str | None) -> str:
    profile = settings.profile
    trust = f"\n    ca_file: {ca_file}" if ca_file else ""
    model = settings.models[0] if settings.models else profile.served_model
    return f"""emulating {profile.name} at {url}  (Ctrl-C ends it)

endpoints:
  - name: {profile.name}
    protocol: openai
    url: {url}/v1
    model: {model}{trust}
    emulated: {profile.name}
"""
