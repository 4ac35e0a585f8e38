"""Several addresses of one model: real Locust workers on two emulators, one of which is slower."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from tests.load_rig import emulator, locust


def test_turns_are_equal_over_the_workers_and_the_slower_address_is_found(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "2ms", name="fast") as fast, \
            emulator(tmp_path, "--ttft", "120ms", "--gap", "2ms", name="slow") as slow:
        with locust(tmp_path, "--headless", "--processes", "2", "-u", "6", "-r", "20", "-t", "4s",
                    "--fmload-model", "m", "--fmload-urls", f"{fast.url}/v1,{slow.url}/v1",
                    "--fmload-warmup", "200ms", "--fmload-output-tokens", "5") as run:
            assert run.wait() == 0, run.output()
        served = {server.url: {one.request_id for one in server.requests()} for server in (fast, slow)}
    records = run.records()
    assert all(record.request_id in served[record.address] for record in records)
    for worker in {record.worker for record in records}:
        turns = Counter(record.address for record in records if record.worker == worker)
        assert abs(turns[fast.url] - turns[slow.url]) <= 1
    result, = analyse_run(open_run(run.results.root)).results
    assert [one.address for one in result.summary.addresses] == [fast.url, slow.url]
    check = next(one for one in result.checks if one.name == "addresses alike")
    assert f"{slow.url} was slower" in check.sentence
