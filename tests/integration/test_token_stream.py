"""A user's own locustfile sees every finished stream through the `token_stream` event."""

from __future__ import annotations

from pathlib import Path

from tests.load_rig import emulator, free_port, give_prompts, started

LOCUSTFILE = '''
from fmload.plugin import PromptUser, StageShape
from locust import events


class Mine(PromptUser):
    protocol = "openai"


@events.init.add_listener
def listen(environment, **_):
    if hasattr(environment.events, "token_stream"):
        environment.events.token_stream.add_listener(write)
    environment.events.request.add_listener(lambda request_type, name, **_: put(f"request {request_type} {name}"))


def write(record, reading, **_):
    put(f"tokens {len(record.chunk_ns)} {len(''.join(chunk.text for chunk in reading.chunks)) > 0} {record.outcome}")


def put(line):
    with open("seen.txt", "a") as file:
        file.write(line + "\\n")
'''


def test_listeners_get_each_stream_and_locust_one_request_for_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOCUSTFILE)
    give_prompts(tmp_path / "out")
    port = str(free_port())
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        command = ["-m", "locust", "-f", "mine.py", "--headless", "--processes", "1", "-H", f"{server.url}/v1",
                   "-u", "2", "-r", "20", "-t", "2s", "--master-bind-port", port, "--master-port", port,
                   "--fmload-model", "m", "--fmload-warmup", "100ms", "--fmload-output-tokens", "5",
                   "--fmload-out", str(tmp_path / "out")]
        with started(command, tmp_path) as run:
            assert run.wait() == 0, run.output()
    seen = (tmp_path / "seen.txt").read_text().splitlines()
    records = run.records()
    assert seen.count("request openai m synthetic-200") == len(records) > 0
    assert seen.count("tokens 5 True ok") == len(records)
