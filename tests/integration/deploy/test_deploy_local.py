from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config.loading import parse
from fmload.config.schema import RunFile
from fmload.results.folder import Results
from fmload_deploy import lifecycle
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.local.processes import MARK

SERVE = ["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1"]
MakeRunFile = Callable[..., RunFile]


def server(name: str = "web", **deploy: Any) -> dict[str, Any]:
    """An endpoint served by Python's own file server, healthy as soon as it listens."""
    return {"name": name, "protocol": "openai", "model": "m",
            "deploy": {"target": "local", "command": SERVE, "health": "/", "start_timeout": "60s", **deploy}}


@pytest.fixture
def make_run_file(tmp_path: Path) -> MakeRunFile:
    def make(*endpoints: dict[str, Any], **keys: Any) -> RunFile:
        data = {"name": "deploy-test", "endpoints": list(endpoints),
                "prompts": [{"name": "p", "source": "synthetic", "input_tokens": {"mean": 10}, "output_tokens": 10}],
                "load": {"concurrency": [1]}, **keys}
        return parse(yaml.safe_dump(data), "run.yml", tmp_path)
    return make


def running(run_id: str) -> list[int]:
    """Pids of processes that bear the run's mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(run_id + "/") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def wait_until_gone(run_id: str, limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while running(run_id):
        assert time.monotonic() < end, "the processes of the run are still there"
        time.sleep(0.05)


def answers(url: str | None) -> bool:
    assert url is not None
    with urllib.request.urlopen(url.removesuffix("/v1"), timeout=10) as response:
        return bool(response.status == 200)


def test_the_endpoint_answers_inside_the_block_and_is_gone_after_it(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    results = Results(tmp_path / "r")
    with lifecycle.deployed(make_run_file(server()), results) as run_file:
        assert answers(run_file.endpoints[0].url)
        assert run_file.endpoints[0].deploy is None
        run_id = Ledger.open(results.root / NAME).run_id
        assert running(run_id)
    assert not running(run_id)


def test_two_endpoints_come_up_side_by_side_under_their_own_names(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    with lifecycle.deployed(make_run_file(server("a"), server("b")), Results(tmp_path / "r")) as run_file:
        assert len({spec.url for spec in run_file.endpoints}) == 2
        assert all(answers(spec.url) for spec in run_file.endpoints)


def test_several_instances_are_several_addresses_of_one_endpoint(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    results = Results(tmp_path / "r")
    with lifecycle.deployed(make_run_file(server(instance_count=2)), results) as run_file:
        endpoint, = run_file.endpoints
        assert endpoint.url is None
        assert endpoint.urls is not None and len(set(endpoint.urls)) == 2
        assert all(map(answers, endpoint.urls))
        run_id = Ledger.open(results.root / NAME).run_id
        assert len(Ledger.open(results.root / NAME).entries()) == 2
    assert not running(run_id)


def test_instances_need_ports_of_their_own(make_run_file: MakeRunFile) -> None:
    with pytest.raises(FmloadError, match=r"needs a \{port\} in command and url"):
        make_run_file(server(instance_count=2, command=["serve", "--port", "8000"]))


def test_an_endpoint_without_deploy_keeps_its_url(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    mine = {"name": "mine", "protocol": "openai", "model": "m", "url": "http://127.0.0.1:1/v1"}
    with lifecycle.deployed(make_run_file(mine, server()), Results(tmp_path / "r")) as run_file:
        assert run_file.endpoints[0].url == "http://127.0.0.1:1/v1"


def test_up_again_takes_what_is_there(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    run_file, results = make_run_file(server()), Results(tmp_path / "r")
    context = lifecycle.context_for(run_file, results, keep=True)
    try:
        first = lifecycle.up(run_file, context)
        pids = running(context.run_id)
        assert lifecycle.up(run_file, lifecycle.context_for(run_file, results)).endpoints == first.endpoints
        assert running(context.run_id) == pids
    finally:
        lifecycle.down(context)
    assert not running(context.run_id)


def test_down_twice_does_nothing_the_second_time(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    run_file, results = make_run_file(server()), Results(tmp_path / "r")
    context = lifecycle.context_for(run_file, results)
    lifecycle.up(run_file, context)
    lifecycle.down(context)
    before = context.ledger.path.read_bytes()
    lifecycle.down(context)
    assert context.ledger.path.read_bytes() == before


def test_a_command_that_ends_while_starting_shows_its_last_words(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    broken = server(command=[sys.executable, "-c", "raise SystemExit('no accelerator found')"])
    with pytest.raises(FmloadError, match="no accelerator found"), \
            lifecycle.deployed(make_run_file(broken), Results(tmp_path / "r")):
        raise AssertionError("the block must not be entered")


def test_a_command_that_cannot_start_is_named(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    with pytest.raises(FmloadError, match="no-such-program"), \
            lifecycle.deployed(make_run_file(server(command=["no-such-program"])), Results(tmp_path / "r")):
        raise AssertionError("the block must not be entered")


def test_a_failed_neighbour_takes_the_good_one_down_too(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    results = Results(tmp_path / "r")
    with pytest.raises(FmloadError), lifecycle.deployed(
            make_run_file(server("good"), server("bad", command=[sys.executable, "-c", "0"])), results):
        raise AssertionError("the block must not be entered")
    assert not running(Ledger.open(results.root / NAME).run_id)


def test_a_server_that_never_gets_healthy_meets_the_limit(tmp_path: Path, make_run_file: MakeRunFile) -> None:
    mute = server(command=[sys.executable, "-c", "import time; time.sleep(600)"], start_timeout="1s")
    with pytest.raises(FmloadError, match="not after 1 s"), \
            lifecycle.deployed(make_run_file(mute), Results(tmp_path / "r")):
        raise AssertionError("the block must not be entered")


DRIVER = textwrap.dedent("""
    import signal, sys, time
    from pathlib import Path
    from fmload_deploy import lifecycle
    from fmload.config.loading import load
    from fmload.results.folder import Results
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests were started with
    with lifecycle.deployed(load(Path(sys.argv[1])), Results(Path(sys.argv[2])), keep=sys.argv[3] == "keep"):
        print("up", flush=True)
        time.sleep(600)
""")


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    (tmp_path / "run.yml").write_text(textwrap.dedent("""
        name: driver
        endpoints:
          - name: web
            protocol: openai
            model: m
            deploy: {target: local, health: /, command: [python3, -m, http.server, "{port}", --bind, 127.0.0.1]}
        prompts: [{name: p, source: synthetic, input_tokens: {mean: 10}, output_tokens: 10}]
        load: {concurrency: [1]}
    """))
    return script


def killed_while_up(driver: Path, results: Path, keep: str) -> str:
    """The run id of a run that was killed (SIGKILL) while its endpoint was up."""
    with subprocess.Popen([sys.executable, str(driver), str(driver.with_name("run.yml")), str(results), keep],
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGKILL)
    return Ledger.open(results / NAME).run_id


def test_nothing_outlives_a_run_that_was_killed(tmp_path: Path, driver: Path) -> None:
    wait_until_gone(killed_while_up(driver, tmp_path / "r", "end"))


def test_what_was_kept_outlives_the_run_until_down(tmp_path: Path, driver: Path, make_run_file: MakeRunFile) -> None:
    run_id = killed_while_up(driver, tmp_path / "r", "keep")
    assert running(run_id)
    lifecycle.down(lifecycle.context_for(make_run_file(server()), Results(tmp_path / "r")))
    assert not running(run_id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_takes_everything_down_first(tmp_path: Path, driver: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, str(driver), str(driver.with_name("run.yml")), str(tmp_path / "r"), "end"],
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        run_id = Ledger.open(tmp_path / "r" / NAME).run_id
        assert running(run_id)
        process.send_signal(number)
        process.wait(60)
    assert not running(run_id)
    assert not any(entry.up for entry in Ledger.open(tmp_path / "r" / NAME).entries())


def test_an_interrupt_while_waiting_for_health_takes_everything_down(tmp_path: Path, driver: Path) -> None:
    config = driver.with_name("run.yml")
    mute = "python3, -c, 'import time; time.sleep(600)'"
    config.write_text(config.read_text().replace("python3, -m, http.server", mute))
    with subprocess.Popen([sys.executable, str(driver), str(config), str(tmp_path / "r"), "end"]) as process:
        end = time.monotonic() + 60
        while not (tmp_path / "r" / NAME).exists() or not running(Ledger.open(tmp_path / "r" / NAME).run_id):
            assert time.monotonic() < end, "the command was not started"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert not running(Ledger.open(tmp_path / "r" / NAME).run_id)
