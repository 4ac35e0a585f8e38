"""The run file with its secrets, as Locust's processes get it."""

from __future__ import annotations

from pathlib import Path

from fmload.config.loading import load, parse
from fmload.launch.processes import run_file_in_memory

TEXT = """
name: t
endpoints: [{name: a, protocol: openai, url: "http://127.0.0.1:1/v1", model: m, headers: {authorization: hush}}]
prompts: [{name: p, source: synthetic, input_tokens: 5, output_tokens: 5}]
load: {concurrency: [1], window: 1s}
"""


def test_secrets_reach_the_processes_of_a_run_and_no_disk(tmp_path: Path) -> None:
    run = parse(TEXT, "t.yml", tmp_path)
    with run_file_in_memory(run) as descriptor:
        path = Path(f"/dev/fd/{descriptor}")
        for _ in range(2):  # every process reads it from its beginning
            assert load(path).endpoints[0].headers == {"authorization": "hush"}
        assert str(path.readlink()).startswith("/memfd:") and "hush" in path.read_text()
