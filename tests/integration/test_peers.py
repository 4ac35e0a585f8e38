"""The bench beside other tools from its command to the page, with a tiny load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.__main__ import main as bench
from tests.bench.peers import page, result
from tests.bench.peers.tree import ran


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> result.Result:
    """fmload, requests and a tool that is not installed, 2 streams of 2 requests with 8 tokens."""
    folder = tmp_path_factory.mktemp("peers")
    code = bench(["peers", "--only", "fmload,requests,AIPerf", "--tools", str(folder), "--streams", "2",
                  "--engine-streams", "0", "--rounds", "2", "--output-tokens", "8", "--repeat", "1", "--out",
                  str(folder / "peers.json")])
    assert code == 0
    return result.read(folder / "peers.json")


def test_every_tool_told_of_every_request_that_the_server_answered(found: result.Result) -> None:
    rows = {row.tool: row for row in found.rows}
    for name in ("fmload", "requests"):
        row = rows[name]
        assert (row.status, row.told, row.matched, row.answered, row.tokens, row.failed) == ("ok", 4, 4, 4, 32, 0)
        assert row.in_flight is not None and 1 <= row.in_flight <= 2
        assert row.itl_of == "gaps" and None not in (row.ttft_ms, row.itl_ms, row.ttft_shift_ms, row.itl_shift_ms)
        # The kernel counts in ticks of 10 ms: 32 tokens may take none.
        assert row.cpu_us_per_token is not None and 0 <= row.cpu_us_per_token * row.tokens / 1e6 <= row.command_cpu_s
    assert rows["AIPerf"].status == "not installed"


def test_the_page_of_it_has_a_row_of_each(found: result.Result) -> None:
    told = page.told(found)
    assert all(f"| 2 | {name} |" in told for name in ("fmload", "requests", "AIPerf"))
    assert found.versions["requests"] and f"requests {found.versions['requests']}" in told


def test_a_command_that_passes_its_limit_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
    done = ran(["python3", "-c", f"{script} start_new_session=True); time.sleep(60)"], tmp_path, {}, {0}, 1.5)
    assert done.code is None and done.lasted_s < 30


def test_cpu_of_a_process_that_has_ended_is_counted(tmp_path: Path) -> None:
    busy = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    done = ran(["python3", "-c", f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {busy!r}])"],
               tmp_path, {}, {0}, 60)
    assert done.code == 0 and done.cpu_s >= 0.5
